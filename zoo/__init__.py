"""Metazoa: the model zoo of meta-learning for Keras and TensorFlow."""

from zoo import backbones, datasets
from zoo.core.batch_norm import BatchNorm
from zoo.core.few_shot_model import FewShotModel
from zoo.core.normalization import GroupNorm, LayerNorm
from zoo.core.replace_normalization import replace_normalization
from zoo.metric_based.baseline_plus_plus import BaselinePlusPlus
from zoo.metric_based.full_context_matching_network import FullContextMatchingNetwork
from zoo.metric_based.matching_network import MatchingNetwork
from zoo.metric_based.prototypical_network import PrototypicalNetwork
from zoo.metric_based.relation_network import RelationNetwork
from zoo.metric_based.siamese_network import SiameseNetwork
from zoo.metric_based.simple_shot import SimpleShot
from zoo.model_based.lstm_baseline import LSTMBaseline
from zoo.model_based.mann import MANN
from zoo.model_based.meta_network import MetaNetwork
from zoo.optimization_based.anil import ANIL
from zoo.optimization_based.fomaml import FOMAML
from zoo.optimization_based.lstm_meta_learner import LSTMMetaLearner
from zoo.optimization_based.maml import MAML
from zoo.optimization_based.meta_sgd import MetaSGD
from zoo.optimization_based.reptile import Reptile
from zoo.presets import from_preset, list_presets

# Every method by the name that configs use.
METHODS = {
    cls.__name__: cls
    for cls in (
        SiameseNetwork,
        MatchingNetwork,
        FullContextMatchingNetwork,
        RelationNetwork,
        PrototypicalNetwork,
        SimpleShot,
        BaselinePlusPlus,
        MANN,
        LSTMBaseline,
        MetaNetwork,
        LSTMMetaLearner,
        MAML,
        FOMAML,
        ANIL,
        MetaSGD,
        Reptile,
    )
}
