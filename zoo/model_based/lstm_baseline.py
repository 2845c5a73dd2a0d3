"""The LSTM that memory-augmented networks are compared with."""

import keras
import tensorflow as tf

from zoo.model_based.label_stream import LabelStreamModel, where_usable


@keras.saving.register_keras_serializable("metazoa")
class LSTMBaseline(LabelStreamModel):
    """LSTM on the stream of images and late labels, without a memory.

    Santoro, Bartunov, Botvinick, Wierstra, Lillicrap: Meta-Learning with Memory-Augmented Neural Networks, ICML 2016,
    http://proceedings.mlr.press/v48/santoro16.pdf, section 4, the baseline of table 1. The idea is that of Hochreiter,
    Younger, Conwell: Learning to Learn Using Gradient Descent, ICANN 2001. One step (see `LabelStreamModel`):

        h_t, c_t = LSTM([x_t; y_{t-1}], h_{t-1}, c_{t-1}),    p(y_t) = softmax(W_o h_t + b_o)

    Task state: `h` and `c` float32 [T, controller_size], `last_label` [T, label size] (way, or 25 with strings), `class_counts`
    [T, way], and with strings `codes` [T, way, 25]. Not transductive, with a backbone whose BatchNorm uses running averages.

    Differs from the paper: as `zoo.MANN`. The paper does not give the size of this LSTM; here it is that of MANN's controller.

    Args:
        backbone: keras.Model, images [B, *input_shape] -> embeddings [B, D].
        way: classes per task; None only with strings.
        label_encoding: "one_hot", or "strings" of five characters out of five letters.
        controller_size: units of the LSTM.

    Raises:
        ValueError: for an unknown `label_encoding`; without `way` for one-hot labels; for inputs of a wrong rank, shape, dtype or
            label.

    Example:

    >>> import zoo
    >>> model = zoo.LSTMBaseline(zoo.backbones.pixels((28, 28, 1)), way=5)
    >>> episodes = zoo.datasets.load("glyphs", "train").episodes(way=5, shot=3, query=1, num_tasks=16, seed=0)
    >>> model.compile(optimizer="adam")
    >>> history = model.fit(episodes, steps_per_epoch=100)
    """

    def __init__(self, backbone, way=None, label_encoding="one_hot", controller_size=200, **kwargs):
        super().__init__(backbone, way, label_encoding, controller_size, **kwargs)

    def initial_state(self, num_tasks):
        zeros = tf.zeros([num_tasks, self.controller_size], self.compute_dtype)
        return {"h": zeros, "c": zeros}

    def step(self, state, inputs, usable=None):
        h, c = self.lstm(inputs, state["h"], state["c"])
        return where_usable(usable, {"h": h, "c": c}, state)

    def features(self, state):
        return state["h"]
