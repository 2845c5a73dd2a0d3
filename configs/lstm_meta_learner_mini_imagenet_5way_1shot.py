"""LSTM meta-learner on miniImageNet, 5-way 1-shot, from the one for 5 shots.

Paper: Ravi, Larochelle, ICLR 2017, https://openreview.net/forum?id=rJY0-Kcll: 43.44 +- 0.77 % (600 episodes of 15 queries).
Differs from the paper: it starts from the weights of the meta-learner for 5 shots, a preset, and so from a classifier of the
  training classes; 1,500 steps of 2 tasks, along a cosine.
Cost: a quarter of an hour on 2 CPU cores, after that of 5 shots.
Command: python -m trainers.train --config=configs/lstm_meta_learner_mini_imagenet_5way_1shot.py
  --workdir=runs/lstm_meta_learner_mini_imagenet_5way_1shot --precision=mixed_bfloat16
To reach: 42.0 % over 600 episodes, each query answered alone. Reached: 41.4 (the card); 49 on the training classes at
  the end. From ANIL's backbone, 600 steps: 38.1.
"""

from configs import lstm_meta_learner_mini_imagenet_5way_5shot


def get_config():
    config = lstm_meta_learner_mini_imagenet_5way_5shot.get_config(shot=1)
    config.init_from = "lstm_meta_learner_conv4_mini_imagenet_5way_5shot"
    config.model.backbone_weights = None
    config.model.options.num_inner_steps = 12
    config.model.backbone_options.momentum = 0.1
    config.outer.num_steps = 1500
    return config
