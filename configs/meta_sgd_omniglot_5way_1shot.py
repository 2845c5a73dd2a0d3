"""Meta-SGD on Omniglot, 5-way 1-shot.

Paper: Li et al. 2017, https://arxiv.org/abs/1707.09835: 99.53 +- 0.26 % (random split of the characters, rotated test
  classes, transductive). Here: background split, upright test characters.
Differs from the paper: a query is normalized by the statistics of the support set, and can be asked alone;
  8,000 steps from 3e-3 to 0 along a cosine; alpha starts between 0.5 and 2, on the mean loss.
Cost: under 60 minutes on 2 CPU cores.
Command: python -m trainers.train --config=configs/meta_sgd_omniglot_5way_1shot.py --workdir=runs/meta_sgd_omniglot_5way_1shot
To reach: 94.0 % over 1,000 episodes, each query asked alone.
"""

from configs import common


def get_config():
    config = common.get_gradient_omniglot_config()
    config.model.method = "MetaSGD"
    config.model.options = {
        "way": 5,
        "num_inner_steps": 1,
        "inner_learning_rate": [0.5, 2.0],
        "query_statistics": "support",
    }
    config.outer.num_steps = 8000
    return config
