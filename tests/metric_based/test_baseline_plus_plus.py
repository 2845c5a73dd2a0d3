"""Baseline++ against NumPy, whose gradient is a difference quotient."""

import sys

import numpy as np
import pytest
import tensorflow as tf

import zoo
from tests.metric_based.vectors import identity_backbone, vectors
from zoo.core.cosine_head import CosineHead


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def support_loss(parameters, support, labels, way):
    """Mean cross-entropy of s cos(f, w), of parameters [w by rows, s], in float64."""
    weights, scale = parameters[:-1].reshape(way, -1), parameters[-1]
    logits = scale * unit(support) @ unit(weights).T
    log_p = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    return -log_p[np.arange(len(labels)), labels].mean()


def slopes(parameters, *task):
    moves = 1e-6 * np.eye(len(parameters))
    return np.array([(support_loss(parameters + m, *task) - support_loss(parameters - m, *task)) / 2e-6 for m in moves])


@pytest.mark.parametrize("num_steps", [0, 1, 7])
def test_answers_against_numpy(num_steps):
    labels = np.array([0, 1, 2, 1, 0, 2, 2])
    x = vectors(labels.tolist())
    support, queries = (np.float64(x[name][0]) for name in ("support_x", "query_x"))
    means = np.stack([unit(support)[labels == n].sum(axis=0) for n in range(3)])
    parameters = np.append(unit(means).ravel(), 4.0)
    for _ in range(num_steps):
        parameters = parameters - 0.5 * slopes(parameters, support, labels, 3)
    expected = parameters[-1] * unit(queries) @ unit(parameters[:-1].reshape(3, -1)).T
    model = zoo.BaselinePlusPlus(identity_backbone(), num_steps=num_steps, learning_rate=0.5, scale=4.0)
    np.testing.assert_allclose(model(x)[0], expected, rtol=1e-3, atol=1e-4)


def test_the_support_set_is_learned_step_by_step():
    x = vectors([0, 1, 2, 0, 1, 2])
    losses = []
    for num_steps in (0, 10, 100):
        model = zoo.BaselinePlusPlus(identity_backbone(), num_steps=num_steps, learning_rate=0.1)
        logits = model({**x, "query_x": x["support_x"]})
        losses.append(float(model.task_loss(x["support_y"], logits)[0]))
    assert losses[0] > losses[1] > losses[2]


def test_the_cosine_head_by_hand():
    """Directions (3, 4) and (0, -2): the embedding (10, 0) has cosines .6 and 0, (0, 1) has .8 and -1."""
    head = CosineHead(2, scale=5.0)
    head.build((None, 2))
    head.directions.assign([[3.0, 0.0], [4.0, -2.0]])
    np.testing.assert_allclose(head(tf.constant([[10.0, 0.0], [0.0, 1.0]])), [[3.0, 0.0], [4.0, -5.0]], rtol=1e-6)
    assert len(head.trainable_variables) == 2
    assert CosineHead.from_config(head.get_config()).initial_scale == 5.0


def test_numbers_out_of_range_are_named():
    with pytest.raises(ValueError, match="`num_steps` must be an int of at least 0. Received: num_steps=-1"):
        zoo.BaselinePlusPlus(identity_backbone(), num_steps=-1)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
