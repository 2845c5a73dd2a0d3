"""A classifier of the training classes of miniImageNet on the encoder of Relation Networks: where their configs start.

Paper: Wang, Chao, Weinberger, van der Maaten 2019, https://arxiv.org/abs/1911.04623; no figure for this network.
Differs from the paper: as configs/pretrain_mini_imagenet.py; maps are pooled and flattened for the classifier; 30 passes.
Cost: under two hours on 2 fast CPU cores; 300 steps are one pass.
Command: python -m trainers.pretrain --config=configs/pretrain_mini_imagenet_relation.py --workdir=runs/pretrain_mini_imagenet_relation
To reach: 45.0 % at 1 shot and 60.0 % at 5 over 600 episodes.
"""

from configs import common


def get_config():
    config = common.get_pretraining_mini_imagenet_config()
    config.model.backbone = "relation_encoder"
    config.model.backbone_options = {"input_shape": (84, 84, 3), "filters": 64, "flatten_pool": 4}
    config.outer.num_steps = 9000
    return config
