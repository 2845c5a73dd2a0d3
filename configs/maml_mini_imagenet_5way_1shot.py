"""MAML on miniImageNet, 5-way 1-shot, second order, from ANIL.

Paper: Finn, Abbeel, Levine, ICML 2017, https://arxiv.org/abs/1703.03400: 48.70 +- 1.84 % (60,000 steps, 1 query per class, transductive).
Differs from the paper: it starts from the weights of ANIL at 1 shot, a preset, and so from a classifier of the training classes,
  with gamma in its BatchNorm, whose averages are kept, so that every query is answered alone;
  600 steps from 3e-4 to 0 along a cosine; alpha is 0.005 of the mean loss, not 0.01 of its sum over the classes.
Cost: ten minutes on 2 CPU cores, after ANIL's.
Command: python -m trainers.train --config=configs/maml_mini_imagenet_5way_1shot.py --workdir=runs/maml_mini_imagenet_5way_1shot
  --precision=mixed_bfloat16
To reach: 46.0 % over 600 episodes, within two points, each query asked alone. Reached: 46.0 (the card). With batch statistics
  and alpha 0.01, from ANIL's backbone: 41.0 alone and 42.6 with all queries together after 3,000 steps.
"""

from configs import common


def get_config(shot=1):
    config = common.get_gradient_mini_imagenet_config(shot, init_from=f"anil_conv4_mini_imagenet_5way_{shot}shot")
    config.model.method = "MAML"
    config.model.options = {
        "way": 5,
        "num_inner_steps": 5,
        "num_inner_steps_test": 10,
        "inner_learning_rate": 0.005,
        "query_statistics": "support",
    }
    config.outer.learning_rate = 3e-4
    config.outer.global_clipnorm = 1.0
    config.validation.every = 200
    config.outer.num_steps = 600
    return config
