"""LSTM meta-learner on Omniglot, 5-way 1-shot.

Paper: Ravi, Larochelle, ICLR 2017, https://openreview.net/forum?id=rJY0-Kcll: no Omniglot result; 43.44 +- 0.77 % on
  miniImageNet, 5-way 1-shot.
Differs from the paper: 16 filters and 8 steps, not 32 and 12; b_I starts between -1.5 and -0.5, a step of about 0.27 and not
  0.01, which would first have to be learned; 4 tasks per step, along a cosine.
Cost: under 30 minutes on 2 CPU cores.
Command: python -m trainers.train --config=configs/lstm_meta_learner_omniglot_5way_1shot.py --workdir=runs/lstm_meta_learner
To reach: 85.0 % over 1,000 episodes, each query answered alone.
  Reached: 90.5 (the card).
"""

from configs import common


def get_config():
    config = common.get_omniglot_config()
    config.train = {"way": 5, "shot": 1, "query": 5, "tasks": 4}
    config.model.method = "LSTMMetaLearner"
    config.model.options = {"way": 5, "num_inner_steps": 8, "forget_bias": [4.0, 5.0], "input_bias": [-1.5, -0.5]}
    config.model.backbone = "conv4"
    config.model.backbone_options.filters = 16
    config.model.backbone_options.momentum = 0.1
    config.outer.learning_rate = 3e-3
    config.outer.num_steps = 5000
    config.validation = {"way": 5, "shot": 1, "query": 5, "tasks": 4, "episodes": 200, "every": 500}
    config.evaluation.tasks = 4
    return config
