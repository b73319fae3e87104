"""Metrics of a whole set that are no mean over its queries."""

from keras_similarity.set_metrics.alignment import Alignment
from keras_similarity.set_metrics.ami import AMI
from keras_similarity.set_metrics.auroc import AUROC
from keras_similarity.set_metrics.base import (
    SetMetric,
    compute_all,
    get,
    register,
    registry,
)
from keras_similarity.set_metrics.clustering import ClusteringMetric
from keras_similarity.set_metrics.eer import EER
from keras_similarity.set_metrics.effective_rank import EffectiveRank
from keras_similarity.set_metrics.fnmr_at_fmr import FNMRAtFMR
from keras_similarity.set_metrics.fpr_at_tpr import FPRAtTPR
from keras_similarity.set_metrics.hubness import Hubness
from keras_similarity.set_metrics.nmi import NMI
from keras_similarity.set_metrics.open_set import OpenSetMetric
from keras_similarity.set_metrics.open_set_auroc import OpenSetAUROC
from keras_similarity.set_metrics.opis import OPIS
from keras_similarity.set_metrics.oscr import OSCR
from keras_similarity.set_metrics.roc import ROCCurve, roc_curve
from keras_similarity.set_metrics.tar_at_far import TARAtFAR
from keras_similarity.set_metrics.uniformity import Uniformity
from keras_similarity.set_metrics.verification import VerificationMetric

serialize = registry.serialize
deserialize = registry.deserialize

__all__ = [
    "AMI",
    "AUROC",
    "EER",
    "NMI",
    "OPIS",
    "OSCR",
    "Alignment",
    "ClusteringMetric",
    "EffectiveRank",
    "FNMRAtFMR",
    "FPRAtTPR",
    "Hubness",
    "OpenSetAUROC",
    "OpenSetMetric",
    "ROCCurve",
    "SetMetric",
    "TARAtFAR",
    "Uniformity",
    "VerificationMetric",
    "compute_all",
    "deserialize",
    "get",
    "register",
    "roc_curve",
    "serialize",
]
