"""Config files; each imports configs.common and nothing else."""
