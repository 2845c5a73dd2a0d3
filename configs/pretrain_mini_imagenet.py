"""A classifier of the training classes of miniImageNet, Conv-4 with 64 filters: where other configs start.

Paper: Wang, Chao, Weinberger, van der Maaten 2019, https://arxiv.org/abs/1911.04623; configs/simple_shot_mini_imagenet.py has its
  figures.
Differs from the paper: AdamW from 2e-3 to 0 along a cosine over 50 passes of the images in batches of 128, not SGD over 90.
Cost: under two hours on 2 fast CPU cores; 300 steps are one pass.
Command: python -m trainers.pretrain --config=configs/pretrain_mini_imagenet.py --workdir=runs/pretrain_mini_imagenet
To reach: 47.0 % at 1 shot and 63.0 % at 5 over 600 episodes, as SimpleShot.
"""

from configs import common


def get_config():
    return common.get_pretraining_mini_imagenet_config()
