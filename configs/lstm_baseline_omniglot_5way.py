"""LSTM on Omniglot, streams of 50 images of 5 classes, one-hot labels: what MANN is without its memory.

Paper: Santoro et al., ICML 2016, http://proceedings.mlr.press/v48/santoro16.pdf, table 1: 24.4, 49.5, 55.3, 61.0, 63.6 % at the
  1st to 5th presentation of a class and 62.5 % at the 10th (random split of the characters). Here: background split.
Differs from the paper: as configs/mann_omniglot_5way.py, whose data and optimizer these are; 12,000 steps.
Cost: 20 minutes on 2 CPU cores.
Command: python -m trainers.train --config=configs/lstm_baseline_omniglot_5way.py --workdir=runs/lstm_baseline_omniglot_5way
To reach: nothing; it is there to be compared with MANN.
  Reached: 78.9 and 86.9 % at the 2nd and 10th presentation (the card), where MANN reaches 79.0 and 86.6: with an embedding by
  convolutions and 5 classes, the memory gains nothing over an LSTM of 200 units. The networks of the paper read pixels.
"""

from configs import common


def get_config():
    config = common.get_label_stream_omniglot_config()
    config.model.method = "LSTMBaseline"
    config.model.options = {"way": 5, "label_encoding": "one_hot"}
    return config
