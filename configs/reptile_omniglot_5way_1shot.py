"""Reptile on Omniglot, 5-way 1-shot.

Paper: Nichol, Achiam, Schulman 2018, https://arxiv.org/abs/1803.02999: 95.39 +- 0.09 % non-transductive and 97.68 +- 0.04 %
  transductive, of one model (100,000 steps, random split of the characters, upright test classes). Here: background split.
Differs from the paper: 36,000 steps, not 100,000.
Cost: about 30 minutes on 2 fast CPU cores, an hour beside other work.
Command: python -m trainers.train --config=configs/reptile_omniglot_5way_1shot.py --workdir=runs/reptile_omniglot_5way_1shot
To reach: 91.0 % over 1,000 episodes, non-transductive: each query shares its batch statistics with the support set alone.
  Reached: 93.1, and 96.0 transductive (the card).
"""

from configs import common


def get_config():
    config = common.get_gradient_omniglot_config()
    config.train = {"way": 5, "shot": 10, "query": 1, "tasks": 5}
    config.model.method = "Reptile"
    config.model.options = {
        "way": 5,
        "num_inner_steps": 5,
        "num_inner_steps_test": 50,
        "inner_batch": 10,
        "inner_batch_test": 5,
        "inner_optimizer": "adam",
        "inner_learning_rate": 1e-3,
        "evaluation": "support+one",
    }
    config.model.backbone_options.scale = True
    config.model.backbone_options.pooling = "flatten"
    config.outer.optimizer = "sgd"
    config.outer.learning_rate = 1.0
    config.outer.schedule = "linear"
    config.outer.num_steps = 36000
    config.validation.episodes = 192
    config.validation.every = 4000
    config.evaluation.protocols = {
        "5way_1shot": {"way": 5, "shot": 1, "query": 1, "overrides": {}},
        "5way_1shot_transductive": {"way": 5, "shot": 1, "query": 1, "overrides": {"evaluation": "transductive"}},
    }
    return config
