"""Classes added to and removed from a task state, by the client: for methods that remember each class by itself.

A model's sidecar says whether its states allow it: `classes_in_state` is "by_class" (an entry per class, such as prototypes),
"by_row" (an entry per support image, with its label), or null.
"""

import math

import numpy as np

from export.sidecar import read_sidecar

CHECKSUM_MODULUS = 16_777_213  # a prime below 2 ** 24, so that float32 holds what is below it
CHECKSUM_FACTORS = (10_368_889, 7_454_527)


def checksum(body):
    """Two numbers that change with any one bit of the entries of a state, float32 [size]: float32 [2].

    Each is the sum of the low and the high 16 bits of the numbers in turn, h_1, h_2, ..., under weights from 1 to the modulus
    - 1: sum of (1 + i factor mod (modulus - 1)) h_i, mod modulus, a prime. So no flipped bit, a power of 2 times a weight, is
    0. It tells what went wrong on the way; it is no signature.
    """
    halves = np.ascontiguousarray(body, "<f4").view("<u2").astype(np.int64)
    places = np.arange(1, len(halves) + 1, dtype=np.int64)
    weights = [1 + places * factor % (CHECKSUM_MODULUS - 1) for factor in CHECKSUM_FACTORS]
    return np.array([np.sum(halves * weight) % CHECKSUM_MODULUS for weight in weights], np.float32)


class EditableStates:
    """The task states of one export, as arrays that can be changed. Needs neither TensorFlow nor a server.

    Args:
        sidecar: the content of adaptation.json.

    Raises:
        ValueError: for an export whose method does not remember classes one by one.
    """

    def __init__(self, sidecar):
        self._kind = sidecar["classes_in_state"]
        if self._kind is None:
            raise ValueError(
                f"Expected an export whose states hold each class by itself. Received: {sidecar['method']}, whose state is of "
                "the whole support set"
            )
        self._way = sidecar["way"]
        layout = sidecar["task_state"]
        self._fixed, self._per_row = layout["fixed_size"], layout["size_per_support_row"]
        self._entries = [(entry["name"], tuple(entry["shape"])) for entry in layout["entries"]]
        self._fingerprint, self._header = np.array(layout["fingerprint"], np.float32), layout["header_size"]

    @classmethod
    def of_export(cls, folder):
        """The states of an exported version folder."""
        return cls(read_sidecar(folder))

    def classes(self, task_state):
        """Support images per class of one task's state [P]: float32 [way]."""
        return self._read(task_state)["class_counts"]

    def remove_class(self, task_state, label):
        """The state [P] without a class: from now on its probability is 0."""
        self._check_label("label", label)
        entries = self._read(task_state)
        if self._kind == "by_row":
            entries["labels"][:, label] = 0  # rows without a label count as padding
            entries["class_counts"][label] = 0
        else:
            for values in entries.values():
                values[label] = 0
        return self._write(entries)

    def add_class(self, task_state, label, source_state, source_label):
        """The state [P] with class `source_label` of another task's state as its class `label`, in place of what was there."""
        self._check_label("label", label)
        self._check_label("source_label", source_label)
        entries, source = self._read(self.remove_class(task_state, label)), self._read(source_state)
        if source["class_counts"][source_label] == 0:
            raise ValueError(f"`source_state` must hold class {source_label}. Received: a state without it")
        if self._kind == "by_row":
            rows = source["labels"][:, source_label] > 0
            labels = np.zeros((rows.sum(), self._way), np.float32)
            labels[:, label] = 1
            for name in entries:
                if name != "class_counts":
                    added = labels if name == "labels" else source[name][rows]
                    entries[name] = np.concatenate([entries[name], added])
            entries["class_counts"][label] = source["class_counts"][source_label]
        else:
            for name, values in entries.items():
                values[label] = source[name][source_label]
        return self._write(entries)

    def _check_label(self, name, label):
        if not 0 <= label < self._way:
            raise ValueError(f"`{name}` must be from 0 to {self._way - 1}. Received: {name}={label}")

    def _read(self, task_state):
        """The entries of one state, copied."""
        task_state = np.array(task_state, np.float32)
        fingerprint, header = len(self._fingerprint), self._header
        if task_state.ndim != 1 or len(task_state) < self._fixed:
            size = f"{self._fixed} + {self._per_row} S" if self._per_row else f"{self._fixed}"
            raise ValueError(f"A task state must be float32 [{size}], one task. Received: shape {task_state.shape}")
        if not np.array_equal(task_state[:fingerprint], self._fingerprint):
            raise ValueError("A task state must carry the fingerprint of this export. Received: that of another")
        if not np.array_equal(task_state[fingerprint + 1 : header], checksum(task_state[header:])):
            raise ValueError("A task state must be as its export answered it. Received: one whose checksum is another")
        num_rows = int(task_state[fingerprint])
        shapes = {name: tuple(num_rows if size is None else size for size in shape) for name, shape in self._entries}
        ends = header + np.cumsum([math.prod(shape) for shape in shapes.values()])
        if ends[-1] != len(task_state):
            raise ValueError(
                f"A task state of {num_rows} rows must have {ends[-1]} numbers. Received: {len(task_state)}"
            )
        parts = np.split(task_state[header:], ends[:-1] - header)
        return {name: part.reshape(shape) for part, (name, shape) in zip(parts, shapes.items())}

    def _write(self, entries):
        per_row = [name for name, shape in self._entries if shape and shape[0] is None]
        num_rows = len(entries[per_row[0]]) if per_row else 0
        body = np.concatenate([entries[name].ravel() for name, _ in self._entries]).astype(np.float32)
        return np.concatenate([self._fingerprint, [num_rows], checksum(body), body]).astype(np.float32)
