"""Meta Network on miniImageNet, 5-way 1-shot.

Paper: Munkhdalai, Yu, ICML 2017, https://arxiv.org/abs/1703.00837: 49.21 +- 0.96 % (table 2).
Differs from the paper: the learning rate falls to 0 along a cosine; convolution weights start LeCun normal, and not uniform
  from -0.1 to 0.1; m and d begin as odd functions (`odd_start`); 5 queries per class in training. The gradient is clipped at norm
  0.2 for the mean loss of the queries, as configs/meta_network_omniglot.py has it.
Cost: under two hours on 2 CPU cores.
Command: python -m trainers.train --config=configs/meta_network_mini_imagenet_5way_1shot.py
  --workdir=runs/meta_network_mini_imagenet_5way_1shot
To reach: 40.0 % over 600 episodes. No run yet.
"""

from configs import common


def get_config():
    config = common.get_mini_imagenet_config()
    config.train = {"way": 5, "shot": 1, "query": 5, "tasks": 1}
    config.model.method = "MetaNetwork"
    config.model.options = {"way": 5, "num_chunks": 5}
    config.model.backbone = "conv5"
    config.model.backbone_options = {
        "input_shape": (84, 84, 3),
        "filters": 32,
        "kernel_initializer": "lecun_normal",
    }
    config.outer.global_clipnorm = 0.2
    config.outer.num_steps = 5000
    config.validation.tasks = 1
    config.validation.every = 1000
    config.evaluation.tasks = 1
    config.evaluation.protocols = {"5way_1shot": {"way": 5, "shot": 1, "query": 15, "overrides": {}}}
    return config
