"""Where the time of a TensorFlow function goes, by kind of op."""

import collections
import glob
import os
import tempfile

import tensorflow as tf

# What an op's name has in it: its kind; the first that fits.
_KINDS = {"Conv": "convolutions", "MatMul": "matrix products", "BatchNorm": "BatchNorm", "MaxPool": "max-pools"}
OTHER = "other"
KINDS = [*_KINDS.values(), OTHER]


def shares_by_kind(function):
    """Share of the kernels' time that each kind of op has in a call of `function`: {kind: share}, for `KINDS`."""
    durations = collections.Counter(dict.fromkeys(KINDS, 0))
    for op, duration in durations_by_op(function).items():
        durations[_kind(op)] += duration
    total = sum(durations.values())
    return {kind: duration / total for kind, duration in durations.items()}


def durations_by_op(function):
    """Picoseconds that the kernels of each op, by the name it has once TensorFlow has chosen kernels, take in `function()`."""
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            function()
        (path,) = glob.glob(os.path.join(folder, "**", "*.xplane.pb"), recursive=True)
        return _durations(path)


def _durations(path):
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    space = xplane_pb2.XSpace()
    with open(path, "rb") as file:
        space.ParseFromString(file.read())
    durations = collections.Counter()
    for plane in space.planes:
        for line in plane.lines:
            # On a CPU the threads of TensorFlow's pool; on a GPU its streams.
            if not line.name.startswith(("tf_Compute", "TensorFlow Ops")):
                continue
            for event in line.events:
                metadata = plane.event_metadata[event.metadata_id]
                name = metadata.display_name or metadata.name
                if "::" not in name and name != "FunctionRun":  # the runtime's own, with kernels inside
                    durations[name.rpartition(":")[2]] += event.duration_ps
    return durations


def _kind(op):
    return next((kind for part, kind in _KINDS.items() if part in op), OTHER)
