"""LSTM meta-learner on miniImageNet, 5-way 5-shot, from ANIL's backbone.

Paper: Ravi, Larochelle, ICLR 2017, https://openreview.net/forum?id=rJY0-Kcll: 60.60 +- 0.71 % (600 episodes of 15 queries).
Differs from the paper: theta_0 of the backbone starts from ANIL at 5 shots, a preset; b_F starts between 5 and 6, so that 8
  steps leave it nearly as it is; a support batch is the whole support set; 600 steps of 2 tasks, along a cosine.
Cost: a quarter of an hour on 2 CPU cores, after ANIL's.
Command: python -m trainers.train --config=configs/lstm_meta_learner_mini_imagenet_5way_5shot.py
  --workdir=runs/lstm_meta_learner_mini_imagenet_5way_5shot --precision=mixed_bfloat16
To reach: 57.0 % over 600 episodes, each query answered alone. Reached: 52.9 (the card), still rising: 51.2 on the validation classes
  after 300 steps and 52.7 after 600; --config.outer.num_steps=3000 goes on from there.
"""

from configs import lstm_meta_learner_mini_imagenet_5way_1shot


def get_config():
    config = lstm_meta_learner_mini_imagenet_5way_1shot.get_config(shot=5)
    config.model.options.num_inner_steps = 8
    config.model.backbone_options.momentum = 0.05
    config.outer.num_steps = 600
    return config
