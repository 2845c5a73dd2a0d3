"""LSTM meta-learner on miniImageNet, 5-way 5-shot, from ANIL's backbone.

Paper: Ravi, Larochelle, ICLR 2017, https://openreview.net/forum?id=rJY0-Kcll: 60.60 +- 0.71 % (600 episodes of 15 queries).
Differs from the paper: theta_0 of the backbone starts from ANIL at 5 shots, a preset, and so from a classifier of the training
  classes; b_F starts between 5 and 6, so that 8 steps leave it nearly as it is; a support batch is the whole support set;
  3,000 steps of 2 tasks, along a cosine.
Cost: three quarters of an hour on 2 CPU cores, after ANIL's.
Command: python -m trainers.train --config=configs/lstm_meta_learner_mini_imagenet_5way_5shot.py
  --workdir=runs/lstm_meta_learner_mini_imagenet_5way_5shot --precision=mixed_bfloat16
To reach: 57.0 % over 600 episodes, each query answered alone. Reached: 57.6 (the card).
"""

from configs import common


def get_config(shot=5):
    config = common.get_gradient_mini_imagenet_config(shot, backbone_weights="anil_conv4_mini_imagenet_5way_5shot")
    config.train.tasks = 2
    config.model.method = "LSTMMetaLearner"
    config.model.options = {"way": 5, "num_inner_steps": 8, "forget_bias": [5.0, 6.0], "input_bias": [-5.0, -4.0]}
    config.model.backbone_options.update({"statistics": "running", "momentum": 0.05})
    config.outer.global_clipnorm = 0.25
    config.outer.learning_rate = 1e-3
    config.outer.num_steps = 3000
    config.validation.update({"episodes": 100, "every": 300})
    return config
