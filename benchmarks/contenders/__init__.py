"""The same training steps in Metazoa, PyTorch and JAX, each in a process of its own; the latter two import nothing of TensorFlow."""
