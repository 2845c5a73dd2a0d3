"""MAML on sinusoid regression, 5 points.

Paper: Finn, Abbeel, Levine, ICML 2017, https://arxiv.org/abs/1703.03400, appendix C: mean squared error 0.67, 0.38, 0.35
  after 1, 5 and 10 steps on 5 points, trained with 1 inner step for 70,000 steps at 1e-3.
Differs from the paper: 2 inner steps in training, 20 query points, 40,000 steps from 2e-3 to 0 along a cosine.
Cost: under 10 minutes on 2 CPU cores.
Command: python -m trainers.train --config=configs/maml_sinusoid.py --workdir=runs/maml_sinusoid
To reach: 0.67, 0.38 and 0.35 or below.
"""

from configs import common


def get_config():
    config = common.get_config()
    config.dataset = {"name": "sinusoid", "options": {}, "train_options": {}}
    config.train = {"way": None, "shot": 5, "query": 20, "tasks": 25}
    config.model.update(
        {
            "method": "MAML",
            "options": {"target_size": 1, "num_inner_steps": 2, "num_inner_steps_test": 5, "inner_learning_rate": 0.01},
            "backbone": "mlp",
            "backbone_options": {"input_shape": (1,), "hidden_sizes": (40, 40)},
        }
    )
    config.outer.schedule = "cosine"
    config.outer.learning_rate = 2e-3
    config.outer.num_steps = 40000
    config.validation = {"way": None, "shot": 5, "query": 50, "tasks": 25, "episodes": 500, "every": 2500}
    config.evaluation.tasks = 25
    config.evaluation.protocols = {
        f"5shot_{steps}step": {"way": None, "shot": 5, "query": 50, "overrides": {"num_inner_steps_test": steps}}
        for steps in (1, 5, 10)
    }
    config.log_every = 250
    config.checkpoint_every = 2500
    return config
