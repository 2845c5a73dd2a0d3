"""Prototypical Network on miniImageNet for 5-way 5-shot, from the one for 1 shot.

Paper: Snell, Swersky, Zemel, NeurIPS 2017, https://arxiv.org/abs/1703.05175: 68.20 +- 0.66 % (trained 20-way, 600 episodes of
  15 queries).
Differs from the paper: it starts from the weights of the network for 1 shot, a preset, and so from a classifier of the training
  classes; 10 queries a class, on cropped and flipped pictures; distances are scaled by the size of the embedding.
Cost: twenty minutes on 2 CPU cores, after the 1-shot network's.
Command: python -m trainers.train --config=configs/prototypical_network_mini_imagenet_5way_5shot.py
  --workdir=runs/prototypical_network_mini_imagenet_5way_5shot --precision=mixed_bfloat16
To reach: 66.0 % over 600 episodes. Reached: 66.5 (the card). From a linear classifier itself, 15-way, 1,500 steps: 60.5.
"""

from configs import prototypical_network_mini_imagenet_5way_1shot


def get_config():
    config = prototypical_network_mini_imagenet_5way_1shot.get_config()
    config.init_from, config.model.backbone_weights = "prototypical_network_conv4_mini_imagenet_5way_1shot", None
    config.train = {"way": 20, "shot": 5, "query": 10, "tasks": 1}
    config.outer.learning_rate = 3e-4
    config.outer.num_steps = 2000
    config.validation.shot = 5
    config.evaluation.protocols = {"5way_5shot": {"way": 5, "shot": 5, "query": 15, "overrides": {}}}
    return config
