"""ANIL as an engine for devices takes it: fixed shapes, no tape, no loop."""

import tensorflow as tf

from zoo.core import episode
from zoo.core.batch_norm import recorded_statistics, written_out
from zoo.optimization_based.anil import ANIL


def adapts_head_alone(model):
    """Whether a model is an ANIL whose inner loop is gradient descent."""
    return isinstance(model, ANIL) and model.inner_optimizer == "sgd"


def anil_logits(model, support_x, support_y, query_x):
    """`model.answer` for one task, float32 [1, Q, way], with the gradient of the head written out and its steps unrolled:

        p = softmax(F W + b),    W <- W - alpha F^T (p - y) / S,    b <- b - alpha sum of (p - y) / S

    F are the features of the support rows. BatchNorm normalizes them by statistics of all rows, of which a fixed number cannot be
    left out: a task with a label that is no class is answered NaN.

    Args:
        model: see `adapts_head_alone`; not transductive.
        support_x, support_y, query_x: float32 [1, S, ...], int64 [1, S], float32 [1, Q, ...], of fixed shapes.
    """
    labels = support_y[0]
    with written_out(), recorded_statistics() as recorded:
        features = model.call_network(model.backbone, {}, support_x[0], False)[0]  # [S, D]
    kernel, bias = (tf.convert_to_tensor(variable) for variable in model.fast_variables())
    names = [model.name_of(variable) for variable in model.fast_variables()]
    one_hot = episode.one_hot(labels, model.way, features.dtype)  # [S, way]
    for step in range(model.num_inner_steps_test):
        slopes = (tf.nn.softmax(features @ kernel + bias) - one_hot) / features.shape[0]
        rates = [model.step_size(name, step) for name in names]
        kernel -= rates[0] * tf.matmul(features, slopes, transpose_a=True)
        bias -= rates[1] * tf.reduce_sum(slopes, axis=0)
    state = {**dict(zip(names, (kernel, bias))), **model.named_statistics(recorded)}
    logits = model.predict_task(model.with_class_counts(state, labels), query_x[0])
    usable = tf.reduce_all(tf.logical_and(labels >= 0, labels < model.way))
    return tf.expand_dims(tf.where(usable, logits, float("nan")), 0)
