"""Methods that compare embeddings."""
