"""The fields of every config, with the values that most of them share."""

from ml_collections import ConfigDict, config_dict


def get_config():
    """A config without data set, model and steps; every field of it can be set on the command line."""
    return ConfigDict(
        {
            "seed": 0,
            # whether ways, shots, queries and batches are lowered to what the data can give, see trainers/fitting.py
            "fit_counts": False,
            # a preset or workdir to start from; see trainers/initial_weights.py
            "init_from": config_dict.placeholder(str),
            # name and options of zoo.datasets.load; train_options hold for the training subset only
            "dataset": {"name": "", "options": {}, "train_options": {}},
            # one training step: tasks episodes of way classes, shot support and query query images per class
            "train": {"way": 5, "shot": 1, "query": 15, "tasks": 1},
            # a class of zoo.METHODS, a builder of zoo.backbones, and the arguments of both; the file, preset or workdir whose
            # backbone it starts from
            "model": {
                "method": "",
                "options": {},
                "backbone": "",
                "backbone_options": {},
                "backbone_weights": config_dict.placeholder(str),
            },
            "outer": {
                "optimizer": "adam",  # a class of keras.optimizers
                "optimizer_options": {},  # its other arguments: momentum, weight_decay, beta_1, clipvalue ...
                "learning_rate": 1e-3,
                "schedule": "constant",  # constant, cosine (to 0), linear (to 0), or halving (every halve_every steps)
                "halve_every": 2000,
                "global_clipnorm": config_dict.placeholder(float),  # the largest norm of the whole gradient
                "num_steps": 1000,
            },
            # the best weights by validation are the ones kept
            "validation": {"way": 5, "shot": 1, "query": 15, "tasks": 1, "episodes": 200, "every": 500},
            # test episodes; protocols: name -> way, shot, query, and model arguments to change
            "evaluation": {"episodes": 1000, "tasks": 1, "protocols": {}},
            "log_every": 50,
            "checkpoint_every": 500,
        }
    )


def get_omniglot_config():
    """`get_config` on Omniglot: Lake's background split, rotated classes in training, upright test characters."""
    config = get_config()
    config.dataset = {
        "name": "omniglot",
        "options": {
            "split": "background",
            "image_size": 28,
            "resize": "antialias",
            "rotations": False,
            "data_dir": config_dict.placeholder(str),
        },
        "train_options": {"rotations": True},
    }
    config.model.backbone_options = {"input_shape": (28, 28, 1), "filters": 64}
    config.outer.schedule = "cosine"
    config.evaluation.protocols = {"5way_1shot": {"way": 5, "shot": 1, "query": 15, "overrides": {}}}
    return config


def get_gradient_omniglot_config():
    """5-way 1-shot Omniglot as the papers of gradient adaptation set it: 32 tasks a step, 1 query per class, strided Conv-4."""
    config = get_omniglot_config()
    config.train = {"way": 5, "shot": 1, "query": 1, "tasks": 32}
    config.model.backbone = "strided_conv4"
    config.model.backbone_options.statistics = "batch"
    config.outer.learning_rate = 3e-3
    config.validation = {"way": 5, "shot": 1, "query": 5, "tasks": 32, "episodes": 640, "every": 500}
    config.evaluation.tasks = 25
    config.evaluation.protocols = {
        "5way_1shot": {"way": 5, "shot": 1, "query": 15, "overrides": {}},
        # As the papers test: all queries, one per class, are normalized together.
        "5way_1shot_transductive": {"way": 5, "shot": 1, "query": 1, "overrides": {"query_statistics": "queries"}},
    }
    return config


def get_label_stream_omniglot_config():
    """Streams of 50 Omniglot images of 5 classes: data, backbone and optimizer of MANN and of the LSTM beside it."""
    config = get_omniglot_config()
    config.dataset.train_options = {"rotations": True, "distortions": True}
    config.train = {"way": 5, "shot": 10, "query": 1, "tasks": 16}
    config.model.backbone = "pixels_and_conv4"
    config.model.backbone_options.update({"filters": 32, "statistics": "running"})
    config.outer.learning_rate = 1.5e-3
    config.outer.num_steps = 12000
    config.validation = {"way": 5, "shot": 10, "query": 1, "tasks": 16, "episodes": 160, "every": 1000}
    config.evaluation.tasks = 20
    config.evaluation.protocols = {"5way_10shot": {"way": 5, "shot": 10, "query": 1, "overrides": {}}}
    return config


def get_mini_imagenet_config():
    """`get_config` on miniImageNet, 5-way with 15 queries: Ravi and Larochelle's classes, cropped and flipped in training."""
    config = get_config()
    config.dataset = {
        "name": "tfds",
        # those that are None are as zoo.datasets.tfds_images.load has them
        "options": {
            "name": "mini_imagenet",
            "data_dir": config_dict.placeholder(str),
            "classes": config_dict.placeholder(str),
            "image_size": config_dict.placeholder(int),
            "channels": config_dict.placeholder(int),
            "split_seed": config_dict.placeholder(int),
            "fit": config_dict.placeholder(str),
        },
        "train_options": {
            "augmentation": {"crop_padding": 8, "flip": True, "color_jitter": config_dict.placeholder(float)}
        },
    }
    config.model.backbone = "conv4"
    config.model.backbone_options = {"input_shape": (84, 84, 3), "filters": 64}
    config.outer.schedule = "cosine"
    config.validation = {"way": 5, "shot": 1, "query": 15, "tasks": 4, "episodes": 300, "every": 500}
    config.evaluation.episodes = 600
    config.evaluation.tasks = 4
    config.evaluation.protocols = {
        "5way_1shot": {"way": 5, "shot": 1, "query": 15, "overrides": {}},
        "5way_5shot": {"way": 5, "shot": 5, "query": 15, "overrides": {}},
    }
    return config


def get_pretraining_mini_imagenet_config():
    """A classifier of the 64 training classes of miniImageNet, validated as SimpleShot: for `trainers.pretrain`."""
    config = get_mini_imagenet_config()
    # one training step: a batch of so many images; head: linear or cosine
    config.train = {"batch": 128, "head": "linear"}
    config.model.method = "SimpleShot"
    config.model.options = {"transform": "cl2n"}
    config.outer.optimizer = "adamw"
    config.outer.optimizer_options = {"weight_decay": 1e-3}
    config.outer.learning_rate = 2e-3
    config.outer.num_steps = 15000
    config.validation.every = 1500
    config.log_every = 300
    config.checkpoint_every = 300
    return config


def get_gradient_mini_imagenet_config(shot, backbone_weights=None, init_from=None):
    """5-way miniImageNet as the papers of gradient adaptation set it: 32 filters, steps of 4 tasks (2 at 5 shots).

    It starts from a network that has been trained, whose averages BatchNorm keeps.
    """
    config = get_mini_imagenet_config()
    config.train = {"way": 5, "shot": shot, "query": 15, "tasks": 4 if shot == 1 else 2}
    config.model.backbone_options = {"input_shape": (84, 84, 3), "filters": 32, "statistics": "frozen"}
    config.model.backbone_weights = backbone_weights
    config.init_from = init_from
    config.outer.learning_rate = 5e-4
    config.validation.shot = shot
    config.validation.every = 1000
    # With the averages kept, queries that are asked together are answered as those that are asked alone.
    config.evaluation.protocols = {f"5way_{shot}shot": {"way": 5, "shot": shot, "query": 15, "overrides": {}}}
    return config


def get_relation_mini_imagenet_config(shot, backbone_weights="runs/pretrain_mini_imagenet_relation"):
    """5-way miniImageNet for a Relation Network on the encoder of its paper."""
    config = get_mini_imagenet_config()
    config.train = {"way": 5, "shot": shot, "query": 15, "tasks": 2}
    config.model.method = "RelationNetwork"
    config.model.options = {"way": 5, "reduce": "mean", "loss": "cross_entropy", "padding": "valid"}
    config.model.backbone = "relation_encoder"
    config.model.backbone_weights = backbone_weights
    config.outer.learning_rate = 1e-3
    config.outer.num_steps = 2500
    config.validation.shot = shot
    protocol = {"way": 5, "shot": shot, "query": 15}
    config.evaluation.protocols = {
        f"5way_{shot}shot": {**protocol, "overrides": {}},
        # As the authors test: all queries are normalized together.
        f"5way_{shot}shot_transductive": {**protocol, "overrides": {"evaluation": "transductive"}},
    }
    return config


def get_image_folder_config():
    """`get_config` on a folder of pictures, `--config.dataset.options.root`, whose counts are fitted to what is there."""
    config = get_config()
    config.fit_counts = True
    config.dataset = {
        "name": "image_folder",
        # every option of zoo.datasets.image_folder.load, so that each can be set on the command line
        "options": {
            "root": "",
            "image_size": 96,
            "channels": 3,
            "fit": "stretch",
            "invert": False,
            "on_error": "raise",
            "split": (0.5, 0.25, 0.25),
            "split_by": "classes",
            "split_seed": 0,
        },
        "train_options": {
            "augmentation": {"crop_padding": 8, "flip": True, "color_jitter": 0.0},
            "distortions": config_dict.placeholder(bool),  # for ink on paper
        },
    }
    config.model.backbone = "keras_application"
    config.model.backbone_options = {
        "name": "MobileNetV2",
        "input_shape": config_dict.placeholder(tuple),  # that of the data
        "weights": "imagenet",
        "trainable": True,
        "options": {"alpha": 0.35},
    }
    config.outer.learning_rate = 1e-4
    config.outer.schedule = "cosine"
    config.outer.num_steps = 300
    config.validation = {"way": 5, "shot": 1, "query": 5, "tasks": 1, "episodes": 100, "every": 50}
    config.evaluation.protocols = {
        "1shot": {"way": 5, "shot": 1, "query": 15, "overrides": {}},
        "5shot": {"way": 5, "shot": 5, "query": 15, "overrides": {}},
    }
    config.checkpoint_every = 50
    return config
