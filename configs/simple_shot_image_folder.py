"""SimpleShot on a folder of your own pictures: a classifier of its training classes, from a network that knows ImageNet.

Paper: Wang, Chao, Weinberger, van der Maaten 2019, https://arxiv.org/abs/1911.04623. There is no published figure on your
  pictures.
Differs from the paper: MobileNetV2 with the weights of keras.applications, which Keras downloads once; Adam from 1e-4 to 0
  along a cosine. Batches and the counts of the tests are lowered to what the folder has, and a line says to what.
Cost: minutes on 2 CPU cores.
Command: python -m trainers.pretrain --config=configs/simple_shot_image_folder.py --workdir=runs/mine
  --config.dataset.options.root=FOLDER
  Baseline++ in its place: --config.model.method=BaselinePlusPlus --config.train.head=cosine
To reach: more on new classes than before the first step, as the validation lines show.
"""

from configs import common


def get_config():
    config = common.get_image_folder_config()
    config.train = {"batch": 32, "head": "linear"}
    config.model.method = "SimpleShot"
    return config
