"""The task state as one vector of float32 that says whose it is."""

import hashlib
import json
import math

import tensorflow as tf

from export.editable_states import CHECKSUM_FACTORS, CHECKSUM_MODULUS

_CHUNK = 1 << 20  # numbers that are hashed at once
FINGERPRINT_SIZE = 3  # numbers of 24 bits, which float32 holds exactly
CHECKSUM_SIZE = len(CHECKSUM_FACTORS)


class TaskStateLayout:
    """How the named tensors of a task state lie in one vector per task.

        [fingerprint (3), S, checksum (2), entries in the order of their names]

    S is the number of support rows that the state keeps something of, 0 for methods that keep nothing: their P is fixed,
    that of the others is `fixed_size + row_size * S`. The fingerprint belongs to one export: a state of another model,
    version or way does not match, and is answered with NaN. The checksum is of the bits of the entries: a state of which any
    one bit has flipped does not match. Whoever knows how it is made can make one, see `export.editable_states.checksum`.

    Args:
        shapes: name -> shape of one task's entry; the first size is None where it is S.
        fingerprint: FINGERPRINT_SIZE floats, from `fingerprint`.
    """

    def __init__(self, shapes, fingerprint):
        self.shapes = {name: tuple(shapes[name]) for name in sorted(shapes)}
        self.fingerprint = tuple(fingerprint)
        self.header_size = FINGERPRINT_SIZE + 1 + CHECKSUM_SIZE
        self.fixed_size = self.header_size + sum(
            math.prod(shape) for shape in self.shapes.values() if not _is_per_row(shape)
        )
        self.row_size = sum(math.prod(shape[1:]) for shape in self.shapes.values() if _is_per_row(shape))

    @property
    def size(self):
        """P, or None where it depends on S."""
        return None if self.row_size else self.fixed_size

    def fits(self, size):
        """Whether a vector of `size` numbers can be a state: a bool, or a bool tensor."""
        if not self.row_size:
            return size == self.fixed_size
        return tf.logical_and(size > self.fixed_size, (size - self.fixed_size) % self.row_size == 0)

    def num_rows(self, size):
        """S of a vector of `size` numbers."""
        return (size - self.fixed_size) // max(self.row_size, 1)

    def describe_size(self):
        """P in words."""
        return f"{self.fixed_size} + {self.row_size} S" if self.row_size else f"{self.fixed_size}"

    def flatten(self, state):
        """Entries, each [T, ...], -> float32 [T, P]."""
        num_tasks = tf.shape(state[next(iter(self.shapes))])[0]
        per_row = [name for name, shape in self.shapes.items() if _is_per_row(shape)]
        num_rows = tf.shape(state[per_row[0]])[1] if per_row else 0
        parts = [
            tf.reshape(tf.cast(state[name], tf.float32), [num_tasks, size])
            for name, size in zip(self.shapes, self._sizes(num_rows))
        ]
        body = tf.concat(parts, axis=1)
        return tf.concat([self._header(num_rows, body), body], axis=1)

    def unflatten(self, task_state):
        """float32 [T, P] -> (entries, bool [T]: whether a task's vector is a state of this export).

        The entries of a task that is refused are zeros, so that nothing it holds can reach the others.
        """
        num_rows = self.num_rows(tf.shape(task_state)[1])
        header, body = task_state[:, : self.header_size], task_state[:, self.header_size :]
        same = tf.equal(tf.bitcast(header, tf.int32), tf.bitcast(self._header(num_rows, body), tf.int32))  # -0 is not 0
        valid = tf.logical_and(tf.reduce_all(same, axis=1), tf.reduce_all(tf.math.is_finite(body), axis=1))
        body = tf.where(valid[:, None], body, 0.0)
        sizes = self._sizes(num_rows)
        parts = tf.split(body, sizes, axis=1, num=len(sizes))
        entries = {
            name: tf.reshape(part, [-1, *(num_rows if size is None else size for size in shape)])
            for part, (name, shape) in zip(parts, self.shapes.items())
        }
        return entries, valid

    def _header(self, num_rows, body):
        """The numbers in front of each task's entries, float32 [T, size of the entries]: [T, header size]."""
        known = tf.concat([tf.constant(self.fingerprint, tf.float32), [tf.cast(num_rows, tf.float32)]], axis=0)
        return tf.concat([tf.tile(known[None], [tf.shape(body)[0], 1]), _checksum(body)], axis=1)

    def _sizes(self, num_rows):
        return [
            num_rows * math.prod(shape[1:]) if _is_per_row(shape) else math.prod(shape)
            for shape in self.shapes.values()
        ]

    def to_json(self):
        """The layout as plain data, for clients that work on a state."""
        return {
            "fingerprint": list(self.fingerprint),
            "fixed_size": self.fixed_size,
            "size_per_support_row": self.row_size,
            "header_size": self.header_size,
            "entries": [{"name": name, "shape": list(shape)} for name, shape in self.shapes.items()],
        }


def fingerprint(model, version):
    """Numbers that name one export: they change with any weight, the config, the way and the version."""
    config = {key: value for key, value in model.get_config().items() if key != "name"}  # Keras numbers names
    described = [type(model).__name__, config, version]
    digest = hashlib.sha256(json.dumps(described, sort_keys=True, default=str).encode())
    for variable in model.variables:
        numbers = tf.reshape(variable.value, [-1])
        for start in range(0, numbers.shape[0], _CHUNK):  # a large model is not copied as a whole
            digest.update(numbers[start : start + _CHUNK].numpy())
    data = digest.digest()
    return [float(int.from_bytes(data[3 * i : 3 * i + 3], "big")) for i in range(FINGERPRINT_SIZE)]


def _checksum(body):
    """`export.editable_states.checksum` of each task's entries, float32 [T, size]: float32 [T, CHECKSUM_SIZE]."""
    bits = tf.bitcast(body, tf.int32)
    halves = (
        tf.cast(tf.stack([tf.bitwise.bitwise_and(bits, 0xFFFF), tf.bitwise.right_shift(bits, 16)]), tf.int64) % 65536
    )
    numbers = tf.reshape(tf.transpose(halves, [1, 2, 0]), [tf.shape(body)[0], -1])  # low and high half of each in turn
    places = tf.range(1, tf.cast(tf.shape(numbers)[1], tf.int64) + 1)
    sums = [
        tf.reduce_sum(numbers * (1 + places * factor % (CHECKSUM_MODULUS - 1)), axis=1) % CHECKSUM_MODULUS
        for factor in CHECKSUM_FACTORS
    ]
    return tf.cast(tf.stack(sums, axis=1), tf.float32)


def _is_per_row(shape):
    """Whether an entry [T, S, ...] of a task state grows with the support set."""
    return bool(shape) and shape[0] is None
