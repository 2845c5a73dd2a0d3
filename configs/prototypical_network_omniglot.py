"""Prototypical Network on Omniglot, trained 60-way 1-shot.

Paper: Snell, Swersky, Zemel, NeurIPS 2017, https://arxiv.org/abs/1703.05175: 98.8 % 5-way and 96.0 % 20-way 1-shot, on the
  Vinyals split with rotated test classes. Here: background split, upright test characters.
Differs from the paper: training images are under random affine distortions (zoo/datasets/distortion.py); the learning rate
  falls to 0 along a cosine, and is not halved every 2,000 steps.
Cost: under 30 minutes on 2 CPU cores.
Command: python -m trainers.train --config=configs/prototypical_network_omniglot.py --workdir=runs/prototypical_network_omniglot
To reach: 98.0 % 5-way 1-shot and 94.5 % 20-way 1-shot, one model, 1,000 episodes. Reached: 98.11 and 94.69 (the card).
"""

from configs import common


def get_config():
    config = common.get_omniglot_config()
    config.dataset.train_options.distortions = True
    config.train = {"way": 60, "shot": 1, "query": 5, "tasks": 1}
    config.model.method = "PrototypicalNetwork"
    config.model.backbone = "conv4"
    config.outer.num_steps = 6000
    config.validation = {"way": 20, "shot": 1, "query": 5, "tasks": 1, "episodes": 200, "every": 500}
    config.evaluation.protocols = {
        "5way_1shot": {"way": 5, "shot": 1, "query": 15, "overrides": {}},
        "20way_1shot": {"way": 20, "shot": 1, "query": 15, "overrides": {}},
        "5way_5shot": {"way": 5, "shot": 5, "query": 15, "overrides": {}},
        "20way_5shot": {"way": 20, "shot": 5, "query": 15, "overrides": {}},
    }
    return config
