"""A classifier of the training classes of miniImageNet, Conv-4 with 32 filters: where methods that adapt by gradients start.

Paper: Wang, Chao, Weinberger, van der Maaten 2019, https://arxiv.org/abs/1911.04623; no figure for 32 filters.
Differs from the paper: as configs/pretrain_mini_imagenet.py, and half of its filters.
Cost: under an hour on 2 fast CPU cores; 300 steps are one pass.
Command: python -m trainers.pretrain --config=configs/pretrain_mini_imagenet_32.py --workdir=runs/pretrain_mini_imagenet_32
To reach: 46.0 % at 1 shot and 63.0 % at 5 over 600 episodes.
"""

from configs import common


def get_config():
    config = common.get_pretraining_mini_imagenet_config()
    config.model.backbone_options.filters = 32
    return config
