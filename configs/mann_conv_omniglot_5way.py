"""MANN on Omniglot behind a convolutional network, streams of 50 images of 5 classes, one-hot labels.

Paper: Santoro et al., ICML 2016, http://proceedings.mlr.press/v48/santoro16.pdf, table 1: 36.4, 82.8, 91.0, 92.6, 94.9 % at the
  1st to 5th presentation of a class and 98.1 % at the 10th (random split of the characters). Here: background split.
Differs from the paper: the controller sees embeddings of a strided Conv-4 with 32 filters and not 20x20 pixels, which bind to
  labels many times sooner (configs/mann_omniglot_5way.py has the pixels); Adam from 1e-3 to 0 along a cosine; the loss counts one
  query per class after the stream too.
Cost: under 30 minutes on 2 CPU cores.
Command: python -m trainers.train --config=configs/mann_conv_omniglot_5way.py --workdir=runs/mann_conv_omniglot_5way
To reach: 60 % at the 2nd and 85 % at the 10th presentation of a class, 1,000 episodes.
"""

from configs import common


def get_config():
    config = common.get_omniglot_config()
    config.train = {"way": 5, "shot": 10, "query": 1, "tasks": 8}
    config.model.method = "MANN"
    config.model.options = {"way": 5, "label_encoding": "one_hot", "memory_slots": 128, "feed_read": True}
    config.model.backbone = "strided_conv4"
    config.model.backbone_options = {"filters": 32, "statistics": "running", "scale": True, "pooling": "flatten"}
    config.outer.learning_rate = 1e-3
    config.outer.num_steps = 4000
    config.validation = {"way": 5, "shot": 10, "query": 1, "tasks": 16, "episodes": 160, "every": 1000}
    config.evaluation.tasks = 20
    config.evaluation.protocols = {"5way_10shot": {"way": 5, "shot": 10, "query": 1, "overrides": {}}}
    return config
