"""MAML on miniImageNet, 5-way 5-shot, second order, from first-order MAML.

Paper: Finn, Abbeel, Levine, ICML 2017, https://arxiv.org/abs/1703.03400: 63.11 +- 0.92 % (60,000 steps, 5 queries per class, transductive).
Differs from the paper: it starts from the weights of FOMAML, a preset, which started from ANIL's, and so from a classifier of the
  training classes, with gamma in its BatchNorm, whose averages are kept, so that every query is answered alone;
  600 steps of 2 tasks from 3e-4 to 0 along a cosine; alpha is 0.005 of the mean loss.
Cost: a quarter of an hour on 2 CPU cores, after FOMAML's.
Command: python -m trainers.train --config=configs/maml_mini_imagenet_5way_5shot.py --workdir=runs/maml_mini_imagenet_5way_5shot
  --precision=mixed_bfloat16
To reach: 61.0 % over 600 episodes, within two points, each query asked alone. Reached: 59.2 (the card). From
  ANIL's weights as they were after its first 6,000 steps: 57.6.
"""

from configs import maml_mini_imagenet_5way_1shot


def get_config():
    config = maml_mini_imagenet_5way_1shot.get_config(shot=5)
    config.init_from = "fomaml_conv4_mini_imagenet_5way_5shot"
    return config
