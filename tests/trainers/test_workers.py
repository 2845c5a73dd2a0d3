"""Several processes that train together: one that never comes, one that ends, folders that are not shared."""

import json
import os
import signal
import socket
import sys
import threading
import time

import numpy as np
import pytest
import tensorflow as tf

from commands import signals
from tests.binaries import start
from trainers import rendezvous, workers

CONFIG = [
    "--config=configs/maml_sinusoid.py",
    "--config.train.tasks=4",
    "--config.validation.tasks=2",
    "--config.validation.episodes=4",
    "--config.validation.every=50000",
    "--config.outer.num_steps=100000",
    "--config.log_every=20",
    "--config.checkpoint_every=20",
    "--strategy=multi_worker",
]


def free_addresses(count=2):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{listener.getsockname()[1]}" for listener in sockets]
    for listener in sockets:
        listener.close()
    return addresses


def test_a_worker_that_never_comes_is_waited_for_in_lines_and_not_for_ever(monkeypatch, capsys):
    monkeypatch.setattr(rendezvous, "_EVERY", 0.3)
    here, there = free_addresses()
    with pytest.raises(TimeoutError, match=rf"within 1 seconds \(--worker_timeout\). Missing: worker 1 at {there}$"):
        rendezvous.wait_for_workers([here, there], 0, 1)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) in (2, 3) and lines[0] == f"waiting for worker 1 at {there}: 0 of at most 1 seconds"


def test_workers_find_each_other_and_leave_their_ports_to_tensorflow(capsys):
    addresses = free_addresses()
    threads = [threading.Thread(target=rendezvous.wait_for_workers, args=(addresses, place, 20)) for place in range(2)]
    threads[0].start()
    time.sleep(0.3)
    # What TensorFlow does where a worker has gone on: it listens at the same address.
    with socket.create_server(("127.0.0.1", int(addresses[1].rpartition(":")[2]))):
        threads[0].join(10)
    assert not threads[0].is_alive() and capsys.readouterr().out == ""
    with socket.create_server(("127.0.0.1", int(addresses[0].rpartition(":")[2]))):
        threads[1].start()
        threads[1].join(10)
        assert not threads[1].is_alive()
        with pytest.raises(ValueError, match="The port of this worker in TF_CONFIG must be free. Received: 127"):
            rendezvous.wait_for_workers(addresses, 0, 1)


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="needs IPv6")
def test_workers_find_each_other_by_ipv6(capsys):
    addresses = free_addresses()
    of_ipv6 = [address.replace("127.0.0.1", "[::1]") for address in addresses]
    with rendezvous._listening(of_ipv6[1]):
        for first in (addresses[0], of_ipv6[0]):
            for second in (addresses[1], of_ipv6[1]):
                rendezvous.wait_for_workers([first, second], 0, 0)
    assert capsys.readouterr().out == ""


def test_addresses_are_read_from_tf_config():
    cluster = {"worker": ["b:1", "c:2"], "chief": ["a:3"]}
    text = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": 1}})
    assert rendezvous.read_cluster(text) == (["a:3", "b:1", "c:2"], 2)
    text = json.dumps({"cluster": {"worker": ["[fd00::1]:2222"]}, "task": {"type": "worker", "index": 0}})
    assert rendezvous.read_cluster(text) == (["[fd00::1]:2222"], 0)
    lists = (["a"], ["a:0"], ["a:65536"], ["a:-1"], [":1"], ["a:1", "a:1"], ["::1:2222"], ["a:1:2"], ["a]:1"], ["a:²"])
    clusters = [json.dumps({"cluster": {"worker": bad}, "task": {"type": "worker", "index": 0}}) for bad in lists]
    for bad in ("{", "[]", "[" * 9999, *clusters):
        with pytest.raises(ValueError, match="TF_CONFIG must be JSON like .*from 1 to 65535. Received: "):
            rendezvous.read_cluster(bad)


def test_a_worker_whose_name_none_can_have_is_missing():
    here, _ = free_addresses()
    with pytest.raises(TimeoutError, match="Missing: worker 1 at a..b:2$"):
        rendezvous.wait_for_workers([here, "a..b:2"], 0, 0)


@pytest.mark.parametrize("sees", [True, False])
def test_a_folder_that_a_worker_does_not_share_is_refused(sees, tmp_path, monkeypatch):
    """This process is the chief; the answers of worker 1 are made up."""
    monkeypatch.setattr(workers, "num_processes", lambda strategy: 2)
    answers = iter(([0], [sees]))
    monkeypatch.setattr(workers, "gather", lambda strategy, values: np.array([values, next(answers)]))
    if sees:
        workers.check_shared(None, tmp_path, True)
    else:
        with pytest.raises(
            ValueError, match="must be one folder that all workers share. Received: .*, where worker 1 does"
        ):
            workers.check_shared(None, tmp_path, True)
    assert not list(tmp_path.iterdir())


def test_workers_with_other_configs_are_named(monkeypatch):
    """A learning rate of its own, say, which would part the weights of the workers in silence."""
    sent = []

    def gather(strategy, values):
        sent.append(values)
        return np.array([sent[0], sent[-1]])

    monkeypatch.setattr(workers, "gather", gather)
    for config in ({"outer": {"learning_rate": 1e-3, "steps": 4}}, {"outer": {"steps": 4, "learning_rate": 1e-3}}):
        workers.check_alike(None, config)
    with pytest.raises(ValueError, match="must be the same on all workers. Received: others at worker 1$"):
        workers.check_alike(None, {"outer": {"learning_rate": 0.5, "steps": 4}})


def test_what_fails_since_a_worker_is_gone_can_be_continued(monkeypatch):
    error = tf.errors.UnavailableError(None, None, "Connection reset by peer")
    with pytest.raises(tf.errors.UnavailableError), workers.lost_workers(tf.distribute.get_strategy()):
        raise error
    monkeypatch.setattr(workers, "num_processes", lambda strategy: 2)
    with pytest.raises(signals.Resumable, match="another worker has ended"), workers.lost_workers(None):
        raise error


def start_two(folders):
    addresses = free_addresses()
    clusters = [
        {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}} for index in range(len(folders))
    ]
    return [
        start("trainers.train", *CONFIG, f"--workdir={folder}", environment={"TF_CONFIG": json.dumps(cluster)})
        for folder, cluster in zip(folders, clusters)
    ]


def wait_for_checkpoint(folder, processes, after=0):
    """The step of a checkpoint past `after`."""
    while [process.poll() for process in processes] == [None, None]:
        steps = [int(path.stem.partition("-")[2]) for path in (folder / "checkpoints").glob("ckpt-*.index")]
        if steps and max(steps) > after:
            return max(steps)
        time.sleep(0.05)
    raise AssertionError([process.communicate() for process in processes])


def ended(processes):
    """The statuses and the last lines of processes that end by themselves."""
    errors = [process.communicate(timeout=100)[1] for process in processes]
    return [process.returncode for process in processes], [text.strip().rpartition("\n")[2] for text in errors]


@pytest.mark.slow
def test_sigterm_to_one_worker_stops_all_and_the_death_of_one_the_other(tmp_path):
    processes = start_two([tmp_path, tmp_path])
    wait_for_checkpoint(tmp_path, processes)
    processes[1].send_signal(signal.SIGTERM)
    begin = time.monotonic()
    statuses, lines = ended(processes)
    assert statuses == [75, 75] and time.monotonic() - begin < 10, lines
    step = max(int(path.stem.partition("-")[2]) for path in (tmp_path / "checkpoints").glob("ckpt-*.index"))
    assert lines == [f"terminated: step {step:,} is saved, and the same command continues from there"] * 2
    for dying in (1, 0):
        processes = start_two([tmp_path, tmp_path])
        step = wait_for_checkpoint(tmp_path, processes, step)
        os.kill(processes[dying].pid, signal.SIGKILL)
        statuses, lines = ended(processes)
        assert statuses[1 - dying] == 75 and lines[1 - dying].startswith("stopped: another worker has ended"), lines


@pytest.mark.slow
def test_workdirs_that_are_not_shared_are_found_out_at_the_start(tmp_path):
    statuses, lines = ended(start_two([tmp_path / "one", tmp_path / "two"]))
    assert statuses == [1, 1]
    assert all("`--workdir` must be one folder that all workers share" in line for line in lines), lines


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
