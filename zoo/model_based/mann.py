"""Memory-augmented neural networks."""

import keras
import tensorflow as tf

from zoo.core import arguments
from zoo.model_based.label_stream import LabelStreamModel, dense, where_usable

SLOT_CHOICES = ("shared", "one_per_head")
WRITE_GATES = ("per_head", "scalar")
# Not 0: the cosine with an unwritten slot needs a direction.
_EMPTY = 1e-6


@keras.saving.register_keras_serializable("metazoa")
class MANN(LabelStreamModel):
    """Memory-augmented neural network: an LSTM that writes to the least recently used slots of a memory, and reads by content.

    Santoro, Bartunov, Botvinick, Wierstra, Lillicrap: Meta-Learning with Memory-Augmented Neural Networks, ICML 2016,
    http://proceedings.mlr.press/v48/santoro16.pdf, sections 2 and 3. The images of a task and their labels, which arrive one
    step late, are a stream (see `LabelStreamModel`). One step, with R heads and a memory M of slots M(i):

        h_t, c_t  = LSTM([x_t; y_{t-1}; r_{t-1}], h_{t-1}, c_{t-1})
        k_t       = tanh(W_k h_t + b_k)                      a key per head
        s_t       = sigmoid(W_s h_t + b_s)                   a write gate per head, or sigmoid(alpha): one number
        w_lu      = 1 at the R least used slots by w_u_{t-1}, 0 elsewhere
        w_w_t     = s_t w_r_{t-1} + (1 - s_t) w_lu
        M_t(i)    = M_{t-1}(i), or 0 for the least used slot,  +  sum over heads of w_w_t(i) k_t
        w_r_t     = softmax over i of cos(k_t, M_t(i))
        r_t       = sum over i of w_r_t(i) M_t(i), of all heads side by side
        w_u_t     = gamma w_u_{t-1} + sum over heads of w_r_t + sum over heads of w_w_t
        p(y_t)    = softmax(W_o [h_t; r_t] + b_o)

    At the start M is 1e-6 everywhere, and w_r and w_u are at the first slot. Of slots of equal usage the first are the least
    used. Equal are those with one past, such as all that were never chosen, so that no answer depends on which of them is taken.
    No gradient flows through the choice of slots.

    Task state: `memory` float32 [T, slots, width], `usage` [T, slots], `read_weights` [T, R, slots], `read` [T, R * width],
    `h` and `c` [T, controller_size], `last_label` [T, label size] (way, or 25 with strings), `class_counts` [T, way], and with
    strings `codes` [T, way, 25]. Not transductive: each query is one step of its own from the state after the support set,
    and writes nothing for the others. With a backbone whose BatchNorm uses batch statistics it is.

    Differs from the paper: the write gate is computed from h_t, one per head, as in public code; the paper's is one learned
    number, `write_gate="scalar"`. The loss of a task is the mean over its presentations, queries included, and not the sum over the
    stream; classes without support have probability 0 at a query; the images may pass any backbone (the paper's is
    `zoo.backbones.pixels`). The paper does not say how the weights start: here the recurrent ones orthogonal, those of the label
    N(0, 0.6), the others as Keras starts them.

    Args:
        backbone: keras.Model, images [B, *input_shape] -> embeddings [B, D].
        way: classes per task; None only with strings.
        label_encoding: "one_hot", or "strings" of five characters out of five letters.
        memory_slots: slots of the memory; 128 in the paper.
        memory_width: numbers per slot; 40 in the paper.
        num_read_heads: R; 4 in the paper.
        controller_size: units of the LSTM; 200 in the paper.
        usage_decay: gamma, from 0 to 1; .99 in the paper, .95 in public code.
        feed_read: whether r_{t-1} is an input to the LSTM, as the paper's text says; its equation does not show it.
        least_used_slots: "shared" as in the paper: every head writes to all of the R least used slots; "one_per_head", as in
            public code: head j writes to the j-th least used.
        write_gate: "per_head", computed at every step; "scalar" as in the paper, sigmoid(alpha) with a learned alpha, 0 at first.

    Raises:
        ValueError: for an unknown `label_encoding`, `least_used_slots` or `write_gate`; for fewer slots than heads; without `way` for one-hot
            labels; for inputs of a wrong rank, shape, dtype or label.

    Example:

    >>> import zoo
    >>> model = zoo.MANN(zoo.backbones.pixels((28, 28, 1)), way=5)
    >>> episodes = zoo.datasets.load("glyphs", "train").episodes(way=5, shot=3, query=1, num_tasks=16, seed=0)
    >>> model.compile(optimizer="adam")
    >>> history = model.fit(episodes, steps_per_epoch=100)
    """

    def __init__(
        self,
        backbone,
        way=None,
        label_encoding="one_hot",
        memory_slots=128,
        memory_width=40,
        num_read_heads=4,
        controller_size=200,
        usage_decay=0.99,
        feed_read=True,
        least_used_slots="shared",
        write_gate="per_head",
        **kwargs,
    ):
        memory_width = arguments.count("memory_width", memory_width)
        num_read_heads = arguments.count("num_read_heads", num_read_heads)
        memory_slots = arguments.count("memory_slots", memory_slots)
        if memory_slots < num_read_heads:
            raise ValueError(
                f"`memory_slots` must be at least `num_read_heads`, {num_read_heads}. Received: memory_slots={memory_slots}"
            )
        read_size = num_read_heads * memory_width
        super().__init__(backbone, way, label_encoding, controller_size, read_size, feed_read, **kwargs)
        self.memory_slots = memory_slots
        self.memory_width = memory_width
        self.num_read_heads = num_read_heads
        self.usage_decay = arguments.number("usage_decay", usage_decay, at_least=0, at_most=1)
        self.feed_read = arguments.flag("feed_read", feed_read)
        self.least_used_slots = arguments.choice("least_used_slots", least_used_slots, SLOT_CHOICES)
        self.key_layer = dense(read_size, controller_size, name="key", dtype=self.variable_dtype)
        self.write_gate = arguments.choice("write_gate", write_gate, WRITE_GATES)
        if write_gate == "per_head":
            self.write_gate_layer = dense(num_read_heads, controller_size, name="write_gate", dtype=self.variable_dtype)
        else:
            self.alpha = self.add_weight(name="alpha", shape=(), initializer="zeros")

    def initial_state(self, num_tasks):
        dtype, heads, width = self.compute_dtype, self.num_read_heads, self.memory_width
        first_slot = tf.one_hot(tf.zeros([num_tasks], tf.int32), self.memory_slots, dtype=dtype)
        controller = tf.zeros([num_tasks, self.controller_size], dtype)
        return {
            "memory": tf.fill([num_tasks, self.memory_slots, width], tf.constant(_EMPTY, dtype)),
            "usage": first_slot,
            "read_weights": tf.repeat(first_slot[:, None], heads, axis=1),
            "read": tf.zeros([num_tasks, heads * width], dtype),
            "h": controller,
            "c": controller,
        }

    def step(self, state, inputs, usable=None):
        recurrent = tf.concat([state["h"], state["read"]], axis=-1) if self.feed_read else state["h"]
        h, c = self.lstm(inputs, recurrent, state["c"])
        keys = tf.reshape(tf.tanh(self.key_layer(h)), [-1, self.num_read_heads, self.memory_width])  # [T, R, width]
        gate = self._gate(h)
        least_used, erased = self._least_used(state["usage"])
        write_weights = gate * state["read_weights"] + (1 - gate) * least_used  # [T, R, slots]
        if usable is not None:  # the weights are masked, and not the memory, which is ten times as large
            written = tf.cast(usable, gate.dtype)[:, None]
            write_weights, erased = written[..., None] * write_weights, written * erased
        kept = state["memory"] * (1 - erased)[..., None]
        memory = kept + tf.matmul(write_weights, keys, transpose_a=True)  # [T, slots, width]
        read_weights = tf.nn.softmax(cosines(keys, memory))  # [T, R, slots]
        read = tf.matmul(read_weights, memory)  # [T, R, width]
        usage = self.usage_decay * state["usage"] + tf.reduce_sum(read_weights + write_weights, axis=1)
        others = {
            "usage": usage,
            "read_weights": read_weights,
            "read": tf.reshape(read, [-1, self.num_read_heads * self.memory_width]),
            "h": h,
            "c": c,
        }
        return {"memory": memory, **where_usable(usable, others, state)}

    def _gate(self, h):
        """The share of a write that goes where was read: [T, R, 1] or [1, 1, 1]."""
        if self.write_gate == "per_head":
            return tf.sigmoid(self.write_gate_layer(h))[..., None]
        return tf.sigmoid(tf.reshape(self.alpha, [1, 1, 1]))

    def _least_used(self, usage):
        """Ones at the slots to write to [T, 1 or R, slots], and at the one slot to erase first [T, slots]."""
        # Of equal values `top_k` takes the first.
        slots = tf.math.top_k(-tf.stop_gradient(usage), self.num_read_heads).indices  # [T, R], least used first
        one_hot = tf.one_hot(slots, self.memory_slots, dtype=usage.dtype)  # [T, R, slots]
        shared = self.least_used_slots == "shared"
        return (tf.reduce_sum(one_hot, axis=1, keepdims=True) if shared else one_hot), one_hot[:, 0]

    def features(self, state):
        return tf.concat([state["h"], state["read"]], axis=-1)

    def get_config(self):
        return {
            **super().get_config(),
            "memory_slots": self.memory_slots,
            "memory_width": self.memory_width,
            "num_read_heads": self.num_read_heads,
            "usage_decay": self.usage_decay,
            "feed_read": self.feed_read,
            "least_used_slots": self.least_used_slots,
            "write_gate": self.write_gate,
        }


def cosines(keys, memory):
    """Cosine of every key with every slot: [T, R, width], [T, slots, width] -> [T, R, slots]. 0 with a vector of zeros."""
    keys = tf.math.l2_normalize(keys, axis=-1)
    inverse_lengths = tf.math.rsqrt(tf.maximum(tf.reduce_sum(tf.square(memory), axis=-1), 1e-12))  # [T, slots]
    return tf.matmul(keys, memory, transpose_b=True) * inverse_lengths[:, None]
