"""From a trained model to a SavedModel that adapts where it is served."""

import os

# Read when TensorFlow is first imported: its start-up notices would bury what the binaries print.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
