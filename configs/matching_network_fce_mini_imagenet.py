"""Matching Network with full-context embeddings on miniImageNet, one model for 1 and 5 shots, from a pretrained backbone.

Paper: Vinyals, Blundell, Lillicrap, Kavukcuoglu, Wierstra, NeurIPS 2016, https://arxiv.org/abs/1606.04080; on Ravi and
  Larochelle's classes 43.56 +- 0.84 % at 1 shot and 55.31 +- 0.73 % at 5 in their re-run.
Differs from the paper: as configs/matching_network_mini_imagenet.py; a matrix brings the backbone's 1,600 numbers to 64, so that
  the three LSTMs have 115 thousand weights and not 72 million; K = 3, which the paper leaves open.
Cost: under an hour on 2 CPU cores, after the pretraining.
Command: python -m trainers.train --config=configs/matching_network_fce_mini_imagenet.py
  --workdir=runs/matching_network_fce_mini_imagenet
To reach: 46.0 % at 1 shot and 60.0 % at 5 over 600 episodes. No run yet.
"""

from configs import matching_network_mini_imagenet


def get_config():
    config = matching_network_mini_imagenet.get_config()
    config.model.method = "FullContextMatchingNetwork"
    config.model.options.update({"num_processing_steps": 3, "projection_size": 64})
    return config
