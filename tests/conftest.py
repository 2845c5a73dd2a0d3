"""Two logical CPUs, so that tf.distribute is tested on any machine; small thread pools, so that tests do not fight."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import pytest
import tensorflow as tf

_CPU = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(_CPU, [tf.config.LogicalDeviceConfiguration()] * 2)


@pytest.fixture(scope="session")
def mirrored():
    """The one MirroredStrategy of the process: those of several share the keys of their collective ops, and clash."""
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
