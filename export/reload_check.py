"""Answers requests from a SavedModel. Run by path in a process of its own: it must need TensorFlow and nothing else.

python -I reload_check.py SAVED_MODEL requests.npz answers.npz
"""

import importlib.abc
import os
import sys

BLOCKED = ("zoo", "trainers", "publishing", "studies", "export", "configs")


class _Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, fullname, path=None, target=None):
        if fullname.partition(".")[0] in BLOCKED:
            raise ImportError(f"{fullname} must not be needed to serve")
        return None


def main(folder, requests_path, answers_path):
    """Feeds the requests to every signature whose inputs they hold; `predict` gets the state that `adapt` answered."""
    sys.meta_path.insert(0, _Blocker())
    os.environ["TF_USE_LEGACY_KERAS"] = "1"  # TensorFlow then leaves out Keras 3, a quarter of its start
    import numpy as np
    import tensorflow as tf

    loaded = tf.saved_model.load(folder)
    with np.load(requests_path) as stored:
        tensors = {name: tf.constant(value) for name, value in stored.items()}
    answers = {}
    for name in sorted(loaded.signatures):  # adapt comes first
        function = loaded.signatures[name]
        wanted = function.structured_input_signature[1]
        if not set(wanted) <= set(tensors):
            continue
        outputs = function(**{key: tensors[key] for key in wanted})
        tensors.update({key: value for key, value in outputs.items() if key == "task_state"})
        values = {key: value.numpy() for key, value in outputs.items()}
        # Strings without pickle, which a reader had to trust.
        answers.update({f"{name}/{key}": v.astype(bytes) if v.dtype == object else v for key, v in values.items()})
    np.savez(answers_path, **answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
