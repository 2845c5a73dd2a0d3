"""What every binary does around its work."""
