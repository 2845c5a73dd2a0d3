"""The accuracy of 100 episodes through a SavedModel is that of the Python model."""

import sys

import numpy as np
import pytest
import tensorflow as tf

from export import client
from tests import descriptors
from tests.descriptors import WAY

EPISODES, TASKS = 100, 10


@pytest.mark.parametrize("method", descriptors.params(descriptors.REPRESENTATIVES))
def test_a_hundred_episodes_are_answered_as_in_python(method, export_of):
    model, folder = export_of(method)
    local, answer = client.LocalClient(folder), tf.function(model, autograph=False)
    right = []  # per row: whether Python's answer is, and whether the SavedModel's is
    for seed in range(EPISODES // TASKS):
        x, y = descriptors.episode(num_tasks=TASKS, seed=seed)
        logits = answer(x).numpy()
        _, labels = local.adapt_and_predict(x["support_x"], x["support_y"], x["query_x"])
        right.append(np.stack([logits.argmax(axis=-1) == y, labels == y], axis=-1).reshape(TASKS, -1, 2))
    accuracy = np.mean(right, axis=(0, 1, 2))
    assert np.shape(right) == (EPISODES // TASKS, TASKS, 2 * WAY, 2)
    assert accuracy[0] == accuracy[1], accuracy
    assert 0 < accuracy[0]


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
