"""Metazoa: the model zoo of meta-learning for Keras and TensorFlow."""

from zoo import backbones, datasets
from zoo.core.batch_norm import BatchNorm
from zoo.core.few_shot_model import FewShotModel
from zoo.metric_based.prototypical_network import PrototypicalNetwork
from zoo.optimization_based.maml import MAML
from zoo.presets import from_preset, list_presets

# Every method by the name that configs use.
METHODS = {cls.__name__: cls for cls in (PrototypicalNetwork, MAML)}
