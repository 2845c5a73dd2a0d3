"""LSTM meta-learner on miniImageNet, 5-way 1-shot, from ANIL's backbone.

Paper: Ravi, Larochelle, ICLR 2017, https://openreview.net/forum?id=rJY0-Kcll: 43.44 +- 0.77 % (600 episodes of 15 queries).
Differs from the paper: theta_0 of the backbone starts from ANIL at 5 shots, a preset, and so from a classifier of the training
  classes; b_F starts between 5 and 6, so that 12 steps leave it nearly as it is; 600 steps of 2 tasks, along a cosine.
Cost: ten minutes on 2 CPU cores, after ANIL's.
Command: python -m trainers.train --config=configs/lstm_meta_learner_mini_imagenet_5way_1shot.py
  --workdir=runs/lstm_meta_learner_mini_imagenet_5way_1shot --precision=mixed_bfloat16
To reach: 42.0 % over 600 episodes, each query answered alone. Reached: 38.1 (the card), still rising: 36.4 on the validation
  classes after 300 steps and 37.6 after 600; --config.outer.num_steps=3000 goes on from there.
"""

from configs import common


def get_config(shot=1):
    config = common.get_gradient_mini_imagenet_config(shot, backbone_weights="anil_conv4_mini_imagenet_5way_5shot")
    config.train.tasks = 2
    config.model.method = "LSTMMetaLearner"
    config.model.options = {"way": 5, "num_inner_steps": 12, "forget_bias": [5.0, 6.0], "input_bias": [-5.0, -4.0]}
    config.model.backbone_options.update({"statistics": "running", "momentum": 0.1})
    config.outer.global_clipnorm = 0.25
    config.outer.learning_rate = 1e-3
    config.outer.num_steps = 600
    config.validation.update({"episodes": 100, "every": 300})
    return config
