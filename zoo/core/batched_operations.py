"""What `tf.vectorized_map` does with operations that TensorFlow gives it no rule for."""

import tensorflow as tf
from tensorflow.python.ops.parallel_for import pfor

# Of numbers that a seed decides. They take one seed: drawn task after task, as TensorFlow has it for the same operations of old.
_OF_A_SEED = (
    "StatelessRandomGetKeyCounter",
    "StatelessRandomNormalV2",
    "StatelessRandomUniformFullIntV2",
    "StatelessRandomUniformIntV2",
    "StatelessRandomUniformV2",
    "StatelessTruncatedNormalV2",
)


def register():
    """Gives TensorFlow the rules, once; one that it has by itself is left as it is."""
    rules = {"Bitcast": _bitcast, **dict.fromkeys(_OF_A_SEED, pfor._fallback_converter)}
    for name, rule in rules.items():
        if name not in pfor._pfor_converter_registry:
            pfor.RegisterPFor(name)(rule)


def _bitcast(operation):
    return pfor.wrap(tf.bitcast(operation.stacked_input(0), operation.get_attr("type")), True)
