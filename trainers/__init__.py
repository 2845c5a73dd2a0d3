"""Training and evaluation binaries, and what they are made of."""

import os

# Read when TensorFlow is first imported: its start-up notices would bury what the binaries print.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
