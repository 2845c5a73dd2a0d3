import sys

import pytest
import tensorflow as tf

from zoo.core import task_loop


@pytest.fixture
def devices(monkeypatch):
    """A function that sets the kinds of devices that TensorFlow has."""
    return lambda *kinds: monkeypatch.setattr(
        tf.config, "list_logical_devices", lambda kind: [f"{kind}:0"] * (kind in kinds)
    )


@pytest.mark.parametrize("kinds, batched", [(["CPU"], False), (["CPU", "GPU"], True), (["CPU", "TPU"], True)])
def test_auto_follows_the_device(devices, kinds, batched):
    devices(*kinds)
    assert task_loop.is_batched() is batched
    with task_loop.task_loop("batched"):
        assert task_loop.is_batched()
    with task_loop.task_loop("map"):
        assert not task_loop.is_batched()


def test_a_context_wins_over_the_process(devices):
    devices("CPU")
    task_loop.set_task_loop("batched")
    try:
        assert task_loop.is_batched()
        with task_loop.task_loop("map"):
            assert not task_loop.is_batched()
    finally:
        task_loop.set_task_loop("auto")
    assert not task_loop.is_batched()


@pytest.mark.parametrize("choose", [task_loop.set_task_loop, lambda name: task_loop.task_loop(name).__enter__()])
def test_another_name_is_refused(choose):
    with pytest.raises(ValueError, match="`task_loop` must be .*'auto', 'map', 'batched'.*Received: .*'vmap'"):
        choose("vmap")


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
