"""Two logical CPUs, so that tf.distribute is tested on any machine, and what is made once for many tests."""

import fcntl
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


@pytest.fixture(scope="session")
def export_of(tmp_path_factory):
    """A function from a method of descriptors.py to its model and the folder of its export, written once for all workers."""
    root = tmp_path_factory.getbasetemp()
    root = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "exports"
    root.mkdir(exist_ok=True)

    def exported(method):
        from export import saved_model
        from tests import descriptors

        model = descriptors.build(method)
        output_dir = root / descriptors.named(method).name
        with open(f"{output_dir}.lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (output_dir / "1").exists():
                saved_model.export(model, output_dir, allow_transductive=True)
        return model, output_dir / "1"

    return exported


@pytest.fixture
def unproven(monkeypatch):
    """Exports without their proof in another process, for what is true of them whatever they answer: five seconds less each."""
    from export import verification

    monkeypatch.setattr(verification, "reload_and_answer", lambda *_: {})
    monkeypatch.setattr(verification, "_difference", lambda *_: None)
