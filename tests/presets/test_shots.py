"""More examples help, and a query needs no company: every preset of a classifier with 1, 2, 5 and 10 shots."""

import sys

import numpy as np
import pytest
import tensorflow as tf

import zoo
from tests.datasets.test_omniglot import needs_omniglot
from tests.datasets.test_tfds_images import needs_mini_imagenet
from zoo import datasets
from zoo.presets import loader

WAY, SHOTS = 5, (1, 2, 5, 10)
NAMES = [name for name in zoo.list_presets() if "target_size" not in loader.training_config(name)["model"]["options"]]
# (tasks, queries per class, points that more examples may cost at most). The queries and classes are the same for all shots, so
# that few tasks tell: over 4 x 25 queries twice the standard error of a difference is 5 points where every tenth answer changes,
# over 40 x 25 it is 2.
QUICK, LONG = (4, 5, 10), (40, 5, 2)
# Points that one example must reach on photographs, where the presets lie between 38 and 50: two standard errors over chance, which
# is 20, in four tasks, whose accuracy is 5 points to either side of that of many; and what none of them falls below in 40.
ON_PHOTOGRAPHS = {QUICK: 28, LONG: 35}
SIZES = [pytest.param(QUICK, id="quick"), pytest.param(LONG, marks=pytest.mark.slow, id="long")]


def of_presets():
    needs = {"omniglot": needs_omniglot, "mini_imagenet": needs_mini_imagenet}
    return [pytest.param(name, marks=[mark for data, mark in needs.items() if data in name]) for name in NAMES]


def load(name, **overrides):
    """(the preset for 5 classes, classes of images that it was not trained on)."""
    way = {"way": WAY} if loader.untrained(name).supports_variable_way else {}
    data = loader.preset_metadata(name)["config"]["dataset"]
    return zoo.from_preset(name, **way, **overrides), datasets.load(data["name"], "test", **data["options"])


def first_of_each_class(x, y, shot):
    """The first `shot` rows of every class of each task: images [T, S, ...] and labels [T, S]."""
    rank = np.sum(np.tril(y[:, :, None] == y[:, None]), axis=-1)  # 1 for the first row of its class
    rows = np.stack([np.flatnonzero(of_task <= shot) for of_task in rank])
    tasks = np.arange(len(y))[:, None]
    return x[tasks, rows], y[tasks, rows]


def right_answers(model, classes, size):
    """Whether each query is answered right, together and alone, per shot: two arrays of bools [shots, T, Q]."""
    num_tasks, num_queries, _ = size
    episodes = classes.episodes(way=WAY, shot=max(SHOTS), query=num_queries, num_tasks=num_tasks, seed=0)
    x, y = next(iter(episodes))
    images = tf.TensorSpec([None, None, *model.input_shape], tf.float32)

    @tf.function(autograph=False, input_signature=[images, tf.TensorSpec([None, None], tf.int64), images])
    def answer(support_x, support_y, query_x):
        state = model.adapt(support_x, support_y)
        together = model.predict_with(state, query_x)
        num_queries = tf.shape(query_x)[1]
        states = {name: tf.repeat(value, num_queries, axis=0) for name, value in state.items()}
        alone = model.predict_with(states, tf.reshape(query_x, [-1, 1, *model.input_shape]))
        return tf.argmax(together, axis=-1), tf.reshape(tf.argmax(alone, axis=-1), tf.shape(query_x)[:2])

    support_x, support_y = x["support_x"].numpy(), x["support_y"].numpy()
    answers = [answer(*first_of_each_class(support_x, support_y, shot), x["query_x"]) for shot in SHOTS]
    return [np.stack([labels.numpy() == y.numpy() for labels in kind]) for kind in zip(*answers)]


def lost_points(right):
    """How many points of accuracy each number of shots lies below the best of fewer shots: [shots - 1]."""
    accuracy = 100 * right.mean(axis=(1, 2))
    return np.maximum.accumulate(accuracy)[:-1] - accuracy[1:]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", of_presets())
def test_more_examples_are_no_worse_and_a_query_alone_is_answered_as_together(name, size):
    together, alone = right_answers(*load(name), size)
    accuracies = dict(zip(SHOTS, 100 * together.mean(axis=(1, 2))))
    assert accuracies[1] > (ON_PHOTOGRAPHS[size] if "mini_imagenet" in name else 60), accuracies  # chance is 20
    assert (lost_points(together) <= size[-1]).all(), accuracies
    apart = 100 * (together.mean(axis=(1, 2)) - alone.mean(axis=(1, 2)))
    assert (np.abs(apart) <= 1).all(), apart


@needs_omniglot
def test_a_sum_over_more_examples_than_those_of_training_would_be_found():
    """The fault that this sweep is for: maps of five examples added up, where those of one were learned."""
    model, classes = load("relation_network_relation_encoder_omniglot_5way_1shot", reduce="sum")
    together, _ = right_answers(model, classes, QUICK)
    assert lost_points(together).max() > 2 * QUICK[-1]


def test_the_rows_of_fewer_shots_are_among_those_of_more():
    y = np.array([[1, 0, 1, 0, 0, 1]])
    x = np.arange(6).reshape(1, 6, 1)
    for shot, rows in ((1, [0, 1]), (2, [0, 1, 2, 3]), (3, [0, 1, 2, 3, 4, 5])):
        images, labels = first_of_each_class(x, y, shot)
        assert images[0, :, 0].tolist() == rows and labels.tolist() == y[:, rows].tolist()


def test_lost_points_are_those_below_the_best_of_fewer_shots():
    right = np.zeros((3, 1, 10), bool)
    right[0, 0, :8], right[1, 0, :5], right[2, 0, :9] = True, True, True
    np.testing.assert_allclose(lost_points(right), [30, -10])


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
