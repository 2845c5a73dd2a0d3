"""Baseline++ on miniImageNet: a classifier of the training classes with a cosine head, Conv-4 with 64 filters.

Paper: Chen, Liu, Kira, Wang, Huang, ICLR 2019, https://arxiv.org/abs/1904.04232: 48.24 +- 0.75 % at 1 shot and 66.43 +- 0.63 %
  at 5 (600 episodes, Conv-4).
Differs from the paper: AdamW from 2e-3 to 0 along a cosine over 50 passes of the images in batches of 128, not Adam over 400
  passes in batches of 16; no colour jitter; what zoo.BaselinePlusPlus names.
Cost: under two hours on 2 fast CPU cores; 300 steps are one pass.
Command: python -m trainers.pretrain --config=configs/baseline_plus_plus_mini_imagenet.py
  --workdir=runs/baseline_plus_plus_mini_imagenet
To reach: 47.0 % at 1 shot and 65.0 % at 5 over 600 episodes.
"""

from configs import common


def get_config():
    config = common.get_pretraining_mini_imagenet_config()
    config.train.head = "cosine"
    config.model.method = "BaselinePlusPlus"
    config.model.options = {"num_steps": 100, "learning_rate": 0.01, "scale": 10.0}
    return config
