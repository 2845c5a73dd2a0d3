"""Meta-SGD on miniImageNet, 5-way 5-shot, from ANIL.

Paper: Li et al. 2017, https://arxiv.org/abs/1707.09835: 64.03 +- 0.94 % (60,000 steps, transductive).
Differs from the paper: as configs/meta_sgd_mini_imagenet_5way_1shot.py; 6,000 steps of 2 tasks.
Cost: under two hours on 2 CPU cores, after ANIL's.
Command: python -m trainers.train --config=configs/meta_sgd_mini_imagenet_5way_5shot.py
  --workdir=runs/meta_sgd_mini_imagenet_5way_5shot --precision=mixed_bfloat16
To reach: 60.0 % over 600 episodes, within two points, each query asked alone. No run yet.
"""

from configs import meta_sgd_mini_imagenet_5way_1shot


def get_config():
    config = meta_sgd_mini_imagenet_5way_1shot.get_config(shot=5)
    config.outer.num_steps = 6000
    return config
