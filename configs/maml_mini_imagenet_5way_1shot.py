"""MAML on miniImageNet, 5-way 1-shot, second order, from a pretrained backbone.

Paper: Finn, Abbeel, Levine, ICML 2017, https://arxiv.org/abs/1703.03400: 48.70 +- 1.84 % (60,000 steps, 1 query per class, transductive).
Differs from the paper: the backbone starts from that of configs/anil_mini_imagenet_5way_1shot.py, and so from a classifier of
  the training classes, with gamma in its BatchNorm; a query is normalized by the statistics of the support set, and can be
  asked alone; 3,000 steps from 5e-4 to 0 along a cosine; alpha is 0.01 of the mean loss, not of its sum over the classes.
Cost: under an hour on 2 CPU cores, after ANIL's.
Command: python -m trainers.train --config=configs/maml_mini_imagenet_5way_1shot.py --workdir=runs/maml_mini_imagenet_5way_1shot
  --precision=mixed_bfloat16
To reach: 46.0 % over 600 episodes, within two points with each query asked alone. Reached: 42.6, and 41.0 alone (the card).
"""

from configs import common


def get_config(shot=1, backbone_weights="runs/anil_mini_imagenet_5way_1shot"):
    config = common.get_gradient_mini_imagenet_config(shot, backbone_weights)
    config.model.method = "MAML"
    config.model.options = {
        "way": 5,
        "num_inner_steps": 5,
        "num_inner_steps_test": 10,
        "inner_learning_rate": 0.01,
        "query_statistics": "support",
    }
    config.outer.num_steps = 3000
    return config
