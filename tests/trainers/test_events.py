"""TensorBoard's events of a run that was killed and started again."""

import collections
import sys

import pytest
import tensorflow as tf

from trainers.events import keep_events_until, read_records


def events(folder):
    """[(name, step)] of all event files of a folder."""
    return [
        (value.tag, event.step)
        for path in sorted(folder.glob("events.out.tfevents.*"))
        for event in map(tf.compat.v1.Event.FromString, read_records(path))
        for value in event.summary.value
    ]


def write(folder, steps):
    with tf.summary.create_file_writer(str(folder)).as_default():
        for step in steps:
            tf.summary.scalar("loss", 1.0 / step, step=step)


def test_events_past_the_step_are_dropped_and_those_before_stay_as_they_were(tmp_path):
    write(tmp_path, (2, 4, 6))
    (path,) = tmp_path.iterdir()
    before = read_records(path)
    keep_events_until(tmp_path, 4)
    assert events(tmp_path) == [("loss", 2), ("loss", 4)]
    assert read_records(path) == before[:-1] and [*tmp_path.iterdir()] == [path]
    write(tmp_path, (6, 8))
    assert collections.Counter(events(tmp_path)) == {("loss", step): 1 for step in (2, 4, 6, 8)}


def test_an_event_that_was_cut_off_is_dropped(tmp_path):
    write(tmp_path, (2, 4))
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-3])
    keep_events_until(tmp_path, 10)
    assert events(tmp_path) == [("loss", 2)]


def test_a_folder_that_is_not_there_has_no_events(tmp_path):
    keep_events_until(tmp_path / "none", 4)
    assert not (tmp_path / "none").exists()


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
