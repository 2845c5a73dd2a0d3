"""Relation Network on miniImageNet, 5-way 5-shot, from a pretrained encoder.

Paper: Sung, Yang, Zhang, Xiang, Torr, Hospedales, CVPR 2018, https://arxiv.org/abs/1711.06025: 65.32 +- 0.70 % (10 x 600
  episodes, batch statistics, kept by accuracy on the test classes).
Differs from the paper: the encoder starts from a classifier of the training classes,
  configs/pretrain_mini_imagenet_relation.py; cross-entropy over the classes and not squared errors; the mean over the images of
  a class, not the sum; running averages answer, and batch statistics in a row of their own; cropped and flipped pictures.
Cost: under two hours on 2 fast CPU cores, after the pretraining.
Command: python -m trainers.train --config=configs/relation_network_mini_imagenet_5way_5shot.py
  --workdir=runs/relation_network_mini_imagenet_5way_5shot
To reach: 64.0 % over 600 episodes, within two points with each query answered alone.
"""

from configs import common


def get_config():
    return common.get_relation_mini_imagenet_config(shot=5)
