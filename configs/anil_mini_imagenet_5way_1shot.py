"""ANIL on miniImageNet, 5-way 1-shot, from ANIL at 5 shots.

Paper: Raghu et al., ICLR 2020, https://arxiv.org/abs/1909.09157: 46.7 +- 0.4 % (transductive).
Differs from the paper: it starts from the weights of ANIL at 5 shots, a preset, and so from a classifier of the training classes,
  with gamma in its BatchNorm, whose averages are kept, so that every query is answered alone;
  3,000 steps from 5e-4 to 0 along a cosine; alpha is 0.01 of the mean loss.
Cost: ten minutes on 2 CPU cores, after ANIL's 5 shots.
Command: python -m trainers.train --config=configs/anil_mini_imagenet_5way_1shot.py --workdir=runs/anil_mini_imagenet_5way_1shot
  --precision=mixed_bfloat16
To reach: 45.0 % over 600 episodes, within two points, each query asked alone. Reached: 46.2 (the card). With batch
  statistics, from the classifier itself: 42.5 alone and 43.95 with all queries together after 3,000 steps.
"""

from configs import maml_mini_imagenet_5way_1shot


def get_config(shot=1):
    config = maml_mini_imagenet_5way_1shot.get_config(shot)
    config.init_from = "anil_conv4_mini_imagenet_5way_5shot"
    config.model.method = "ANIL"
    config.model.options.inner_learning_rate = 0.01
    config.outer.learning_rate = 5e-4
    config.validation.every = 500
    config.outer.num_steps = 3000
    return config
