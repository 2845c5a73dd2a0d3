"""Accuracy by presentation: how well a class is known when an image of it is shown for the k-th time in an episode."""

import keras
import tensorflow as tf

from zoo.core import episode
from zoo.core.metrics import EpisodeMean

NUM_PRESENTATIONS = 10  # accuracy is reported at the 1st to 10th presentation of a class, as in the paper of MANN


@keras.saving.register_keras_serializable("metazoa")
class PresentationAccuracy(EpisodeMean):
    """Accuracy at the k-th presentation of a class, before its label arrives: `accuracy_1st`, `accuracy_2nd`, ..."""

    def __init__(self, k, **kwargs):
        super().__init__(**{"name": f"accuracy_{ordinal(k)}", **kwargs})
        self.k = k

    def get_config(self):
        return {**super().get_config(), "k": self.k}


def presentation_metrics():
    """One metric for each presentation that is reported."""
    return [PresentationAccuracy(k) for k in range(1, NUM_PRESENTATIONS + 1)]


def update_presentations(metrics, right, labels):
    """Adds a batch of streams; an episode counts where it has a k-th presentation.

    Args:
        metrics: from `presentation_metrics`.
        right: float [T, S], 1 where the answer before the label was right.
        labels: int64 [T, S], -1 for padding.
    """
    number = presentation_number(labels)
    for metric in metrics:
        chosen = tf.where(number == metric.k, labels, episode.PADDING_LABEL)
        shown = tf.reduce_any(number == metric.k, axis=-1)
        metric.update_state(tf.boolean_mask(episode.mean_over_usable(right, chosen), shown))


def presentation_number(labels):
    """How many times the class of a row has been shown, this row included; 0 for padding: int32 [T, S]."""
    position = tf.range(tf.shape(labels)[1])
    same = tf.logical_and(labels[:, :, None] == labels[:, None, :], position[:, None] >= position[None, :])
    return tf.where(labels >= 0, tf.reduce_sum(tf.cast(same, tf.int32), axis=-1), 0)


def ordinal(number):
    """1st, 2nd, 3rd, 4th, ... for 1 to 20."""
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number, 'th') }"
