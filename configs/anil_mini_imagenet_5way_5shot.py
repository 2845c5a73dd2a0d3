"""ANIL on miniImageNet, 5-way 5-shot, from a pretrained backbone.

Paper: Raghu et al., ICLR 2020, https://arxiv.org/abs/1909.09157: 61.5 +- 0.5 % (transductive).
Differs from the paper: the backbone starts from a classifier of the training classes, configs/pretrain_mini_imagenet_32.py, with
  gamma in its BatchNorm, whose averages are kept, so that every query is answered alone; 6,000 steps
  from 1e-3 to 0 along a cosine, and 7,000 more; alpha is 0.01 of the mean loss.
Cost: an hour on 2 CPU cores, after the pretraining.
Command: python -m trainers.train --config=configs/anil_mini_imagenet_5way_5shot.py --workdir=runs/anil_mini_imagenet_5way_5shot
  --precision=mixed_bfloat16, and from its weights the command of the card, which the preset is trained with.
To reach: 60.0 % over 600 episodes, within two points, each query asked alone. Reached: 59.8 (the card); 58.4 after the first
  6,000 steps. Without clipping, with 1e-3 again: 57.5 on the validation classes after 2,000 of the further steps, then a loss that jumped.
"""

from configs import anil_mini_imagenet_5way_1shot


def get_config():
    config = anil_mini_imagenet_5way_1shot.get_config(shot=5)
    config.init_from, config.model.backbone_weights = None, "runs/pretrain_mini_imagenet_32"
    config.outer.learning_rate = 1e-3
    config.validation.every = 1000
    config.outer.num_steps = 6000
    return config
