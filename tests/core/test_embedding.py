import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo

WAY = 3
METHODS = {
    "prototypical": zoo.PrototypicalNetwork,
    "siamese": zoo.SiameseNetwork,
    "lstm baseline": lambda backbone, way: zoo.LSTMBaseline(backbone, way, controller_size=8),
}


def rows(seed, num_tasks=3):
    return np.random.default_rng(seed).standard_normal((num_tasks, 2 * WAY, 4)).astype("float32")


@pytest.fixture(params=METHODS.values(), ids=METHODS)
def model(request):
    """A model whose BatchNorm normalizes by its batch."""
    keras.utils.set_random_seed(0)
    return request.param(zoo.backbones.mlp((4,), hidden_sizes=(8,), batch_norm=True, statistics="batch"), way=WAY)


@pytest.fixture
def inputs():
    return {"support_x": rows(0), "support_y": np.tile(np.arange(WAY), (3, 2)), "query_x": rows(1)}


def probabilities(model, inputs):
    return tf.nn.softmax(model(inputs)).numpy()


def test_a_transductive_answer_does_not_depend_on_other_tasks(model, inputs):
    together = probabilities(model, inputs)
    for task in range(3):
        alone = probabilities(model, {name: value[task : task + 1] for name, value in inputs.items()})
        np.testing.assert_allclose(alone[0], together[task], rtol=1e-4, atol=1e-5)


def test_padded_rows_are_in_no_batch_statistics(model, inputs):
    padded = {
        "support_x": np.concatenate([rows(2)[:, :2], inputs["support_x"], 9 + rows(3)[:, :1]], axis=1),
        "support_y": np.pad(inputs["support_y"], [(0, 0), (2, 1)], constant_values=-1),
        "query_x": inputs["query_x"],
    }
    np.testing.assert_allclose(probabilities(model, padded), probabilities(model, inputs), rtol=1e-4, atol=1e-5)


def test_evaluation_asks_each_task_alone_too(model, inputs):
    y = np.tile(np.arange(WAY), (3, 2))
    model.compile()
    expected = np.mean(probabilities(model, inputs).argmax(axis=-1) == y)
    np.testing.assert_allclose(model.test_step((inputs, y))["accuracy"], expected, rtol=1e-6)


def test_a_task_without_support_is_answered(model, inputs):
    inputs["support_y"][1] = -1
    assert np.isfinite(probabilities(model, inputs)).all()


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
