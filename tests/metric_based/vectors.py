"""Tasks whose images are their own embeddings, and what a Matching Network answers to them, in NumPy."""

import keras
import numpy as np
import tensorflow as tf

SIZE = 3


def identity_backbone(size=SIZE):
    inputs = keras.Input((size,))
    return keras.Model(inputs, keras.layers.Activation("linear")(inputs))


def vectors(labels, num_queries=4, size=SIZE, seed=0):
    """Inputs of one task whose support rows have these labels."""
    rng = np.random.default_rng(seed)
    return {
        "support_x": tf.constant(rng.standard_normal((1, len(labels), size)), tf.float32),
        "support_y": tf.constant([labels], tf.int64),
        "query_x": tf.constant(rng.standard_normal((1, num_queries, size)), tf.float32),
    }


def reference_similarity(f, g, similarity, scale=10.0):
    if similarity == "squared_euclidean":
        return -sum((f - g) ** 2)
    norms = {"support_normalized": np.linalg.norm(g)}.get(similarity, np.linalg.norm(g) * np.linalg.norm(f))
    return f @ g / norms * (scale if similarity == "scaled_cosine" else 1)


def reference_probabilities(f, g, labels, way, similarity="support_normalized"):
    answers = np.zeros((len(f), way))
    for query, answer in zip(f, answers):
        exponentials = np.exp([reference_similarity(query, row, similarity) for row in g])
        for label, a in zip(labels, exponentials / exponentials.sum()):
            answer[label] += a
    return answers
