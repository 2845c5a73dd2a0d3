"""Prototypical Network on a folder of your own pictures, from a network that knows ImageNet.

Paper: Snell, Swersky, Zemel, NeurIPS 2017, https://arxiv.org/abs/1703.05175. There is no published figure on your pictures.
Differs from the paper: MobileNetV2 with the weights of keras.applications, which Keras downloads once; a learned scale of the
  distance. Ways, shots and queries are lowered to what the folder has, and a line says to what.
Cost: minutes on 2 CPU cores.
Command: python -m trainers.train --config=configs/prototypical_network_image_folder.py --workdir=runs/mine
  --config.dataset.options.root=FOLDER
To reach: more on new classes than before the first step, as the validation lines show.
"""

from configs import common


def get_config():
    config = common.get_image_folder_config()
    config.train = {"way": 10, "shot": 1, "query": 5, "tasks": 1}
    config.model.method = "PrototypicalNetwork"
    config.model.options = {"distance_scale": "learned"}
    return config
