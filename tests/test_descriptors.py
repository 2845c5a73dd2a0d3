"""The list in descriptors.py holds every method, and what it and the classes claim is so."""

import sys

import numpy as np
import pytest
import tensorflow as tf

import zoo
from tests import descriptors
from tests.descriptors import WAY, episode

TOLERANCE = dict(rtol=1e-4, atol=1e-5)


@pytest.fixture(params=descriptors.params(), scope="module")
def method(request):
    return request.param


@pytest.fixture(scope="module")
def model(method):
    return descriptors.build(method)


def test_every_method_is_in_the_list_and_every_entry_is_a_method():
    listed = [type(method.build()) for method in descriptors.METHODS]
    assert set(listed) == set(zoo.METHODS.values())
    assert {cls.__name__: cls for cls in listed} == zoo.METHODS
    names = [method.name for method in descriptors.METHODS]
    assert len(set(names)) == len(names)


def test_scores_of_relations_differ_enough_to_be_compared():
    """The sweep compares to 1e-4 and less. As the paper starts them the scores differ by 1e-4, and would agree whatever went wrong."""
    x, _ = episode()
    logits = descriptors.build("relation_network")(x).numpy()
    assert logits.std(axis=-1).mean() > 0.02 and logits.std(axis=1).mean() > 0.02


def test_every_method_that_the_package_shows_has_a_name_in_configs():
    shown = {cls for cls in vars(zoo).values() if isinstance(cls, type) and issubclass(cls, zoo.FewShotModel)}
    assert shown - {zoo.FewShotModel} == set(zoo.METHODS.values())


def test_a_variant_has_a_relative_that_every_run_sweeps():
    """`make test` leaves variants out: what they share with another entry is swept there."""

    def family(method):  # the classes of a method that are no base class of core
        return {
            cls
            for cls in type(method.build()).__mro__
            if cls.__module__.startswith("zoo.") and "core" not in cls.__module__
        }

    swept = [family(method) for method in descriptors.METHODS if not method.variant]
    for method in descriptors.METHODS:
        if method.variant:
            assert any(family(method) & other for other in swept), method.name


def test_variable_way_means_that_the_weights_fit_another_way(method, model):
    config = {**model.get_config(), "way": WAY + 1}
    wider = type(model).from_config(config)
    fits = [w.shape for w in wider.weights] == [w.shape for w in model.weights]
    assert fits == method.variable_way == model.supports_variable_way
    if fits:
        wider.set_weights(model.get_weights())
        x, y = episode(way=WAY + 1)
        assert wider(x).shape == (*y.shape, WAY + 1)
        x, _ = episode()
        answers = tf.nn.softmax(wider(x)).numpy()
        np.testing.assert_allclose(answers[..., :WAY], tf.nn.softmax(model(x)), **TOLERANCE)
        assert (answers[..., WAY] == 0).all()


def inductive(model):
    """A model that answers each query by itself: what a state means for its classes is only asked of these."""
    if isinstance(model, zoo.RelationNetwork):
        backbone = zoo.backbones.relation_encoder(descriptors.IMAGE_SHAPE, filters=4, statistics="running")
        return zoo.RelationNetwork(backbone, way=WAY, statistics="running")
    return model


def test_classes_in_state_says_how_a_class_can_be_taken_out(model):
    """The state of a support set without class 2, and the state of all classes with its part of class 2 left out."""
    model = inductive(model)
    x, _ = episode()
    others = x["support_y"].numpy() < 2  # [T, S]
    full = model.adapt(x["support_x"], x["support_y"])
    part = model.adapt(x["support_x"], np.where(others, x["support_y"], -1))

    def same(name, axis_size, kept):
        one, two = full[name].numpy(), part[name].numpy()
        return one.shape[1] == axis_size and np.allclose(one[kept], two[kept], **TOLERANCE)

    classes = np.index_exp[:, :2]
    by_class = all(same(name, WAY, classes) for name in full)
    by_row = all(same(name, others.shape[1], others) or same(name, WAY, classes) for name in full)
    measured = "by_class" if by_class else "by_row" if by_row else None
    assert measured == model.classes_in_state


def test_the_backbone_alone_means_something_in_metric_based_methods(model):
    """There, answers follow from embeddings that no task changes, by a rule that knows nothing else of an image."""
    metric_based = type(model).__module__.startswith("zoo.metric_based.")
    assert model.has_embedding == metric_based
    if not model.has_embedding or model.transductive:  # an export of these has no signature `embed`
        return
    x, _ = episode()
    rows = [tf.unstack(tf.reshape(x[key], [-1, *x[key].shape[2:]])) for key in ("support_x", "query_x")]
    alone = [
        tf.concat([model.backbone(row[None]) for row in images], axis=0) for images in rows
    ]  # each image by itself
    support, queries = (tf.reshape(values, [2, -1, *values.shape[1:]]) for values in alone)
    state = model.adapt_embeddings(support, x["support_y"])
    np.testing.assert_allclose(model.predict_embeddings(state, queries), model(x), **TOLERANCE)


def test_targets_of_floats_are_taken_where_the_class_says_so(model):
    """By the methods whose last layer is theirs to shape; the others say so in one line."""
    config = {**model.get_config(), "way": None, "target_size": 2}
    if not model.supports_regression:
        with pytest.raises(ValueError, match="`target_size` must be left out: .* classifies. Received: target_size=2"):
            type(model)(model.backbone, target_size=2, way=WAY)
        return
    regression = type(model).from_config(config)
    x, _ = episode()
    x["support_y"] = tf.random.stateless_normal([2, 2 * WAY, 2], [0, 0])
    assert regression(x).shape == (2, 2 * WAY, 2)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
