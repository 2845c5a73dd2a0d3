"""TensorBoard's event files."""

import os
import pathlib

import tensorflow as tf

_PATTERN = "events.out.tfevents.*"


def keep_events_until(folder, step):
    """Rewrites the event files of a folder without what comes after `step` or was cut off.

    A process that was killed past its last checkpoint has written steps that will be trained, and written, again.
    """
    for path in sorted(pathlib.Path(folder).glob(_PATTERN)):
        records = read_records(path)
        kept = [record for record in records if tf.compat.v1.Event.FromString(record).step <= step]
        scratch = f"{path.parent / path.name.replace('events', 'scratch', 1)}.tmp"  # no event file to TensorBoard
        with tf.io.TFRecordWriter(scratch) as file:
            for record in kept:
                file.write(record)
        os.replace(scratch, path)


def read_records(path):
    """The serialized events of one file, up to where it was cut off."""
    records = []
    try:
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            records.append(record)
    except tf.errors.DataLossError:
        pass  # the last event of a killed process
    return records
