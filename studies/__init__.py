"""Studies of how methods learn, each with a binary of its own."""
