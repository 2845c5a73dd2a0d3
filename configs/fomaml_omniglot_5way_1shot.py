"""First-order MAML on Omniglot, 5-way 1-shot.

Paper: Finn, Abbeel, Levine, ICML 2017, https://arxiv.org/abs/1703.03400; 98.3 +- 0.5 % in the re-run of Nichol et al. 2018
  (random split of the characters, transductive). Here: background split, upright test characters.
Differs from the paper: a query is normalized by the statistics of the support set, and can be asked alone;
  20,000 steps from 3e-3 to 0 along a cosine, not 60,000 at 1e-3.
Cost: under 60 minutes on 2 CPU cores.
Command: python -m trainers.train --config=configs/fomaml_omniglot_5way_1shot.py --workdir=runs/fomaml_omniglot_5way_1shot
To reach: 91.0 % over 1,000 episodes, each query asked alone.
"""

from configs import maml_omniglot_5way_1shot


def get_config():
    config = maml_omniglot_5way_1shot.get_config()
    config.model.method = "FOMAML"
    config.outer.num_steps = 20000
    return config
