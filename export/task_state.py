"""The task state as one vector of float32 that says whose it is."""

import hashlib
import json
import math

import tensorflow as tf

_CHUNK = 1 << 20  # numbers that are hashed at once
FINGERPRINT_SIZE = 3  # numbers of 24 bits, which float32 holds exactly


class TaskStateLayout:
    """How the named tensors of a task state lie in one vector per task.

        [fingerprint (3), S, entries in the order of their names]

    S is the number of support rows that the state keeps something of, 0 for methods that keep nothing: their P is fixed,
    that of the others is `fixed_size + row_size * S`. The fingerprint belongs to one export: a state of another model,
    version or way does not match, and is answered with NaN.

    Args:
        shapes: name -> shape of one task's entry; the first size is None where it is S.
        fingerprint: FINGERPRINT_SIZE floats, from `fingerprint`.
    """

    def __init__(self, shapes, fingerprint):
        self.shapes = {name: tuple(shapes[name]) for name in sorted(shapes)}
        self.fingerprint = tuple(fingerprint)
        self.header_size = FINGERPRINT_SIZE + 1
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

    def describe_size(self):
        """P in words."""
        return f"{self.fixed_size} + {self.row_size} S" if self.row_size else f"{self.fixed_size}"

    def flatten(self, state):
        """Entries, each [T, ...], -> float32 [T, P]."""
        num_tasks = tf.shape(state[next(iter(self.shapes))])[0]
        per_row = [name for name, shape in self.shapes.items() if _is_per_row(shape)]
        num_rows = tf.shape(state[per_row[0]])[1] if per_row else 0
        header = self._header(num_rows)
        parts = [
            tf.reshape(tf.cast(state[name], tf.float32), [num_tasks, size])
            for name, size in zip(self.shapes, self._sizes(num_rows))
        ]
        return tf.concat([tf.tile(header[None], [num_tasks, 1]), *parts], axis=1)

    def unflatten(self, task_state):
        """float32 [T, P] -> (entries, bool [T]: whether a task's vector is a state of this export).

        The entries of a task that is refused are zeros, so that nothing it holds can reach the others.
        """
        num_rows = (tf.shape(task_state)[1] - self.fixed_size) // max(self.row_size, 1)
        valid = tf.reduce_all(task_state[:, : self.header_size] == self._header(num_rows), axis=1)
        valid = tf.logical_and(valid, tf.reduce_all(tf.math.is_finite(task_state), axis=1))
        body = tf.where(valid[:, None], task_state, 0.0)[:, self.header_size :]
        sizes = self._sizes(num_rows)
        parts = tf.split(body, sizes, axis=1, num=len(sizes))
        entries = {
            name: tf.reshape(part, [-1, *(num_rows if size is None else size for size in shape)])
            for part, (name, shape) in zip(parts, self.shapes.items())
        }
        return entries, valid

    def _header(self, num_rows):
        return tf.concat([tf.constant(self.fingerprint, tf.float32), [tf.cast(num_rows, tf.float32)]], axis=0)

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


def _is_per_row(shape):
    """Whether an entry [T, S, ...] of a task state grows with the support set."""
    return bool(shape) and shape[0] is None
