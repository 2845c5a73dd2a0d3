"""First-order MAML on miniImageNet, 5-way 1-shot, from a pretrained backbone.

Paper: Finn, Abbeel, Levine, ICML 2017, https://arxiv.org/abs/1703.03400: 48.07 +- 1.75 % (transductive).
Differs from the paper: the backbone starts from that of configs/anil_mini_imagenet_5way_1shot.py, and so from a classifier of
  the training classes, with gamma in its BatchNorm; a query is normalized by the statistics of the support set, and can be
  asked alone; 2,000 steps from 5e-4 to 0 along a cosine; alpha is 0.01 of the mean loss.
Cost: half an hour on 2 CPU cores, after ANIL's.
Command: python -m trainers.train --config=configs/fomaml_mini_imagenet_5way_1shot.py --workdir=runs/fomaml_mini_imagenet_5way_1shot
  --precision=mixed_bfloat16
To reach: 45.0 % over 600 episodes, within two points with each query asked alone. Reached: 41.0, and 39.7 alone (the card).
"""

from configs import maml_mini_imagenet_5way_1shot


def get_config():
    config = maml_mini_imagenet_5way_1shot.get_config()
    config.model.method = "FOMAML"
    config.outer.num_steps = 2000
    return config
