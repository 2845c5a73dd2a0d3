"""Meta-SGD on miniImageNet, 5-way 1-shot, from ANIL.

Paper: Li et al. 2017, https://arxiv.org/abs/1707.09835: 50.47 +- 1.87 % (60,000 steps, transductive).
Differs from the paper: it starts from the weights of ANIL at 1 shot, a preset, and so from a classifier of the training classes,
  with gamma in its BatchNorm, whose averages are kept, so that every query is answered alone;
  3,000 steps from 5e-4 to 0 along a cosine; alpha starts between 0.002 and 0.02, on the mean loss, and not between
  0.005 and 0.1, from where one step on 800 numbers leads to losses far above those of guessing.
Cost: under an hour on 2 CPU cores, after ANIL's.
Command: python -m trainers.train --config=configs/meta_sgd_mini_imagenet_5way_1shot.py
  --workdir=runs/meta_sgd_mini_imagenet_5way_1shot --precision=mixed_bfloat16
To reach: 45.0 % over 600 episodes, within two points, each query asked alone. No run yet.
"""

from configs import common


def get_config(shot=1):
    config = common.get_gradient_mini_imagenet_config(shot, init_from=f"anil_conv4_mini_imagenet_5way_{shot}shot")
    config.model.method = "MetaSGD"
    config.model.options = {
        "way": 5,
        "num_inner_steps": 1,
        "inner_learning_rate": [0.002, 0.02],
        "query_statistics": "support",
    }
    config.outer.num_steps = 3000
    return config
