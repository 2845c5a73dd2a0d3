"""From a trained model to a SavedModel that adapts where it is served."""
