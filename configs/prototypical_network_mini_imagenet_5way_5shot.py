"""Prototypical Network on miniImageNet for 5-way 5-shot, from a pretrained backbone.

Paper: Snell, Swersky, Zemel, NeurIPS 2017, https://arxiv.org/abs/1703.05175: 68.20 +- 0.66 % (trained 20-way, 600 episodes of
  15 queries).
Differs from the paper: the backbone starts from a classifier of the training classes, configs/pretrain_mini_imagenet.py; trained
  15-way, on cropped and flipped pictures; distances are scaled by the size of the embedding.
Cost: under 50 minutes on 2 CPU cores, after the pretraining.
Command: python -m trainers.train --config=configs/prototypical_network_mini_imagenet_5way_5shot.py
  --workdir=runs/prototypical_network_mini_imagenet_5way_5shot
To reach: 66.0 % over 600 episodes.
"""

from configs import prototypical_network_mini_imagenet_5way_1shot


def get_config():
    config = prototypical_network_mini_imagenet_5way_1shot.get_config()
    config.train = {"way": 15, "shot": 5, "query": 15, "tasks": 1}
    config.validation.shot = 5
    config.evaluation.protocols = {"5way_5shot": {"way": 5, "shot": 5, "query": 15, "overrides": {}}}
    return config
