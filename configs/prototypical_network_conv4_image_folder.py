"""Prototypical Network on a folder of your own pictures, from a preset that was trained on photographs: nothing is downloaded.

Paper: Snell, Swersky, Zemel, NeurIPS 2017, https://arxiv.org/abs/1703.05175. There is no published figure on your pictures.
Differs from the paper: starts from the weights of a preset, `--config.init_from` names another one with a Conv-4 of 64 filters.
  Ways, shots and queries are lowered to what the folder has, and a line says to what. The preset was trained on miniImageNet, whose
  terms are non-commercial.
Cost: minutes on 2 CPU cores.
Command: python -m trainers.train --config=configs/prototypical_network_conv4_image_folder.py --workdir=runs/mine
  --config.dataset.options.root=FOLDER
To reach: more on new classes than before the first step, as the validation lines show.
"""

from ml_collections import config_dict

from configs import common


def get_config():
    config = common.get_image_folder_config()
    config.init_from = "prototypical_network_conv4_mini_imagenet_5way_1shot"
    config.dataset.options.image_size = 84  # as the preset; other sizes take its weights too
    config.train = {"way": 10, "shot": 1, "query": 5, "tasks": 1}
    config.model.method = "PrototypicalNetwork"
    config.model.backbone = "conv4"
    config.model.backbone_options = {"input_shape": config_dict.placeholder(tuple), "filters": 64}
    return config
