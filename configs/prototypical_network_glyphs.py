"""Prototypical Network on glyphs, the data set that needs no download: what `make quickstart` trains.

Paper: Snell, Swersky, Zemel, NeurIPS 2017, https://arxiv.org/abs/1703.05175. There is no published result on glyphs.
Cost: under 3 minutes on 2 CPU cores.
Command: python -m trainers.train --config=configs/prototypical_network_glyphs.py --workdir=runs/prototypical_network_glyphs
To reach: 90 % 5-way 1-shot on scripts it never saw.
"""

from configs import common


def get_config():
    config = common.get_config()
    config.dataset = {"name": "glyphs", "options": {"image_size": 28}, "train_options": {}}
    config.train = {"way": 30, "shot": 1, "query": 5, "tasks": 1}
    config.model.update(
        {
            "method": "PrototypicalNetwork",
            "options": {},
            "backbone": "conv4",
            "backbone_options": {"input_shape": (28, 28, 1), "filters": 64},
        }
    )
    config.outer.schedule = "cosine"
    config.outer.num_steps = 1000
    config.validation = {"way": 5, "shot": 1, "query": 5, "tasks": 1, "episodes": 100, "every": 250}
    config.evaluation.protocols = {
        "5way_1shot": {"way": 5, "shot": 1, "query": 15, "overrides": {}},
        "20way_1shot": {"way": 20, "shot": 1, "query": 15, "overrides": {}},
    }
    return config
