"""Training runs of seconds, in this process, on small classes made here."""

import re

import numpy as np
import pytest
import tensorflow as tf

import zoo
from configs import common
from trainers import builder, loop
from trainers.base_classifier import Pretrainer
from zoo.datasets.sampler import ImageClasses


@pytest.fixture(autouse=True)
def small_classes(monkeypatch):
    """Ten classes of noisy 16x16 patterns, in place of a data set."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 256, (10, 1, 16, 16, 1))
    images = (0.5 * patterns + 0.5 * rng.integers(0, 256, (10, 8, 16, 16, 1))).astype(np.uint8).reshape(80, 16, 16, 1)
    classes = ImageClasses.from_labels(images, np.repeat(np.arange(10), 8), [str(i) for i in range(10)])
    monkeypatch.setitem(zoo.datasets.DATASETS, "patterns", lambda subset, invert=False: classes)


def make_config(method="PrototypicalNetwork", **outer):
    """Twelve steps of 3-way 1-shot tasks of these patterns, as plain data."""
    config = common.get_config()
    config.dataset.name = "patterns"
    config.train = {"way": 3, "shot": 1, "query": 2, "tasks": 2}
    config.validation = {"way": 3, "shot": 1, "query": 2, "tasks": 2, "episodes": 8, "every": 4}
    model = {
        "PrototypicalNetwork": {"backbone": "conv4", "backbone_options": {"input_shape": (16, 16, 1), "filters": 4}},
        "MAML": {
            "options": {"way": 3, "num_inner_steps": 1},
            "backbone": "mlp",
            "backbone_options": {"input_shape": (16, 16, 1), "hidden_sizes": (8,), "batch_norm": True},
        },
    }[method]
    config.model.update({"method": method, "options": {}, **model})
    config.outer.num_steps = 12
    config.outer.update(outer)
    config.evaluation.episodes = 10
    config.evaluation.protocols = {"3way": {"way": 3, "shot": 1, "query": 2, "overrides": {}}}
    config.log_every = 2
    config.checkpoint_every = 4
    return builder.to_dict(config)


def train(config, folder, strategy=None, command="the command"):
    """`loop.train`, on one device where no strategy is given."""
    loop.train(config, str(folder), strategy or tf.distribute.get_strategy(), command)


def pretraining_config(**outer):
    """Twelve steps of ten images of the 80 of `small_classes`, as plain data."""
    config = common.get_pretraining_mini_imagenet_config()
    small = make_config(**outer)
    for name in ("dataset", "validation", "evaluation", "log_every", "checkpoint_every"):
        config[name] = small[name]
    config.train.batch = 10
    config.model.backbone_options = {"input_shape": (16, 16, 1), "filters": 4}
    config.outer.update({"num_steps": 12, **outer})
    return builder.to_dict(config)


def pretrain(config, folder, strategy=None):
    """`trainers.pretrain`, on one device where no strategy is given."""
    loop.train(config, str(folder), strategy or tf.distribute.get_strategy(), "the command", Pretrainer)


def final_weights(folder):
    """All variables of the latest checkpoint of a run but its clock and the number of its checkpoints, by name."""
    reader = tf.train.load_checkpoint(tf.train.latest_checkpoint(str(folder / "checkpoints")))
    others = re.compile("seconds|save_counter|OBJECT_GRAPH")
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map() if not others.search(name)}
