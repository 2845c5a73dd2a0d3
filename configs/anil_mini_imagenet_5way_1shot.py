"""ANIL on miniImageNet, 5-way 1-shot, from a pretrained backbone.

Paper: Raghu et al., ICLR 2020, https://arxiv.org/abs/1909.09157: 46.7 +- 0.4 % (transductive).
Differs from the paper: the backbone starts from a classifier of the training classes, configs/pretrain_mini_imagenet_32.py, with
  gamma in its BatchNorm; a query is normalized by the statistics of the support set, and can be asked alone;
  10,000 steps from 5e-4 to 0 along a cosine; alpha is 0.01 of the mean loss.
Cost: under two hours on 2 fast CPU cores, after the pretraining.
Command: python -m trainers.train --config=configs/anil_mini_imagenet_5way_1shot.py --workdir=runs/anil_mini_imagenet_5way_1shot
To reach: 45.0 % over 600 episodes, within two points with each query asked alone.
"""

from configs import maml_mini_imagenet_5way_1shot


def get_config():
    config = maml_mini_imagenet_5way_1shot.get_config()
    config.model.method = "ANIL"
    config.outer.num_steps = 10000
    return config
