"""Training and evaluation binaries, and what they are made of."""
