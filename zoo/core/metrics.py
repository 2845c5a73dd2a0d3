"""Metrics over episodes. The unit of an interval is the episode: queries of one episode share their support set."""

import keras
import tensorflow as tf

Z_95 = 1.959964  # two-sided 95 % quantile of the normal distribution


def lower_is_better(name):
    """Whether the metric of that name is an error, and no accuracy."""
    return "accuracy" not in name


@keras.saving.register_keras_serializable("metazoa")
class EpisodeMean(keras.metrics.Metric):
    """Mean of one value per episode, with the half-width of its 95 % interval over episodes.

    `result()` is a dict `{name: mean, name + "_ci95": half-width}`, so `evaluate(..., return_dict=True)` and logs carry
    both. The half-width is 1.96 s / sqrt(n), with s the sample standard deviation; it is 0 for fewer than two episodes.

    Args:
        direction: "max" where higher is better, "min" where lower is: what callbacks take in mode "auto".
    """

    def __init__(self, name="episode_mean", direction="max", **kwargs):
        super().__init__(name=name, **kwargs)
        self.direction = direction
        # Welford's update is not additive over replicas; sums are, and 1e6 episodes of values below 10 fit float32.
        self.total = self.add_variable((), "zeros", name="total")
        self.total_of_squares = self.add_variable((), "zeros", name="total_of_squares")
        self.num_episodes = self.add_variable((), "zeros", name="num_episodes")

    def update_state(self, values):
        """Adds one value per episode: float [T]."""
        values = tf.cast(values, self.dtype)
        self.total.assign_add(tf.reduce_sum(values))
        self.total_of_squares.assign_add(tf.reduce_sum(tf.square(values)))
        self.num_episodes.assign_add(tf.cast(tf.size(values), self.dtype))

    def result(self):
        count = tf.maximum(tf.convert_to_tensor(self.num_episodes), 1.0)
        mean = self.total / count
        variance = tf.maximum(self.total_of_squares - count * tf.square(mean), 0.0) / tf.maximum(count - 1.0, 1.0)
        return {self.name: mean, f"{self.name}_ci95": Z_95 * tf.sqrt(variance / count)}

    def get_config(self):
        return {**super().get_config(), "direction": self.direction}
