"""Siamese network of Conv-4 on Omniglot at 28x28: a small relative of Koch's network, under a name of its own.

Paper: Koch, Zemel, Salakhutdinov, ICML deep learning workshop 2015,
  https://www.cs.cmu.edu/~rsalakhu/papers/oneshot1.pdf. Its own result is 92.0 % on Lake's 20-way task within alphabets
  at 105x105, see configs/siamese_network_koch_omniglot.py. Vinyals et al. (NeurIPS 2016,
  https://arxiv.org/abs/1606.04080, table 1) report 96.7 % 5-way and 88.0 % 20-way 1-shot for a Siamese network at
  28x28, on a random split. Here: background split, upright test characters.
Differs from the paper: Conv-4 with BatchNorm at 28x28 in place of the network at 105x105; every pair of an episode,
  those of two classes weighted down, in place of random pairs; rotated classes, no affine distortions, no L2; Adam with
  a cosine in place of SGD with rates and momenta per layer.
Cost: 0.09 CPU seconds a step, about 10 minutes on 2 CPU cores.
Command: python -m trainers.train --config=configs/siamese_network_conv4_omniglot.py --workdir=runs/siamese_network_conv4_omniglot
To reach: 92 % 5-way 1-shot, 1,000 episodes of 15 queries. Reached: 96.2 (the card).
"""

from configs import common


def get_config():
    config = common.get_omniglot_config()
    config.train = {"way": 60, "shot": 1, "query": 1, "tasks": 1}
    config.model.method = "SiameseNetwork"
    config.model.backbone = "conv4"
    config.outer.learning_rate = 5e-3
    config.outer.num_steps = 5000
    config.validation = {"way": 20, "shot": 1, "query": 5, "tasks": 1, "episodes": 200, "every": 500}
    config.evaluation.protocols = {
        "5way_1shot": {"way": 5, "shot": 1, "query": 15, "overrides": {}},
        "20way_1shot": {"way": 20, "shot": 1, "query": 15, "overrides": {}},
        "20way_1shot_within_alphabets": {"way": 20, "shot": 1, "query": 15, "within_groups": True, "overrides": {}},
    }
    return config
