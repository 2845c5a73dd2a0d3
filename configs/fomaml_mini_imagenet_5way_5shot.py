"""First-order MAML on miniImageNet, 5-way 5-shot, from ANIL.

Paper: Finn, Abbeel, Levine, ICML 2017, https://arxiv.org/abs/1703.03400: 63.15 +- 0.91 % (transductive).
Differs from the paper: it starts from the weights of ANIL at 5 shots, a preset, and so from a classifier of the training classes,
  with gamma in its BatchNorm, whose averages are kept, so that every query is answered alone;
  1,500 steps of 2 tasks from 3e-4 to 0 along a cosine; alpha is 0.005 of the mean loss.
Cost: a quarter of an hour on 2 CPU cores, after ANIL's.
Command: python -m trainers.train --config=configs/fomaml_mini_imagenet_5way_5shot.py --workdir=runs/fomaml_mini_imagenet_5way_5shot
  --precision=mixed_bfloat16
To reach: 60.0 % over 600 episodes, within two points, each query asked alone. Reached: 58.8 (the card). With batch statistics,
  from FOMAML at 1 shot, it is at 52.8 of the validation classes after 1,000 steps.
"""

from configs import maml_mini_imagenet_5way_1shot


def get_config():
    config = maml_mini_imagenet_5way_1shot.get_config(shot=5)
    config.model.method = "FOMAML"
    config.outer.num_steps = 1500
    config.validation.every = 250
    return config
