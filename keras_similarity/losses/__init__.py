"""Losses over the embeddings of a batch."""

from keras_similarity.losses.angular import AngularLoss
from keras_similarity.losses.arc_face import ArcFaceLoss
from keras_similarity.losses.barlow import Barlow, barlow
from keras_similarity.losses.circle import CircleLoss, circle, circle_of_distances
from keras_similarity.losses.class_weight_loss import ClassWeightLoss
from keras_similarity.losses.contrastive import ContrastiveLoss
from keras_similarity.losses.cos_face import CosFaceLoss
from keras_similarity.losses.cosine_similarity import cosine_similarity
from keras_similarity.losses.cross_batch_memory import CrossBatchMemory
from keras_similarity.losses.dynamic_soft_margin import DynamicSoftMarginLoss
from keras_similarity.losses.fast_ap import FastAPLoss
from keras_similarity.losses.generalized_lifted_structure import (
    GeneralizedLiftedStructureLoss,
    generalized_lifted_structure,
)
from keras_similarity.losses.histogram import HistogramLoss
from keras_similarity.losses.instance import InstanceLoss
from keras_similarity.losses.intra_pair_variance import IntraPairVarianceLoss
from keras_similarity.losses.large_margin_softmax import LargeMarginSoftmaxLoss
from keras_similarity.losses.lifted_struct import LiftedStructLoss, lifted_struct
from keras_similarity.losses.lifted_structure import LiftedStructureLoss
from keras_similarity.losses.manifold import ManifoldLoss
from keras_similarity.losses.margin import MarginLoss
from keras_similarity.losses.metric_loss import MetricLoss, register, registry
from keras_similarity.losses.multi_negatives_rank import (
    MultiNegativesRankLoss,
    multi_negatives_rank,
)
from keras_similarity.losses.multi_similarity import MultiSimilarityLoss, multi_similarity
from keras_similarity.losses.multiple_losses import MultipleLosses
from keras_similarity.losses.n_pairs import NPairsLoss
from keras_similarity.losses.nca import NCALoss, nca
from keras_similarity.losses.normalized_softmax import NormalizedSoftmaxLoss
from keras_similarity.losses.nt_xent import NTXentLoss, nt_xent
from keras_similarity.losses.p2s_grad import P2SGradLoss
from keras_similarity.losses.pn import PNLoss
from keras_similarity.losses.pnp import PNPLoss
from keras_similarity.losses.proxy_anchor import ProxyAnchorLoss
from keras_similarity.losses.proxy_nca import ProxyNCALoss
from keras_similarity.losses.ranked_list import RankedListLoss
from keras_similarity.losses.self_supervised import SelfSupervisedLoss
from keras_similarity.losses.signal_to_noise_ratio_contrastive import (
    SignalToNoiseRatioContrastiveLoss,
)
from keras_similarity.losses.simclr import SimCLRLoss, simclr
from keras_similarity.losses.simsiam import SimSiamLoss
from keras_similarity.losses.smooth_ap import SmoothAPLoss
from keras_similarity.losses.soft_nearest_neighbor import (
    SoftNearestNeighborLoss,
    soft_nearest_neighbor,
)
from keras_similarity.losses.soft_triple import SoftTripleLoss
from keras_similarity.losses.sphere_face import SphereFaceLoss
from keras_similarity.losses.sub_center_arc_face import SubCenterArcFaceLoss
from keras_similarity.losses.sup_con import SupConLoss, sup_con
from keras_similarity.losses.threshold_consistent_margin import (
    ThresholdConsistentMarginLoss,
)
from keras_similarity.losses.triplet import TripletLoss, triplet
from keras_similarity.losses.triplet_margin import TripletMarginLoss
from keras_similarity.losses.tuplet_margin import TupletMarginLoss, tuplet_margin
from keras_similarity.losses.two_views import TwoViewLoss
from keras_similarity.losses.vicreg import VicReg
from keras_similarity.losses.vicreg_loss import VICRegLoss
from keras_similarity.losses.xbm import XBM

get = registry.get
serialize = registry.serialize
deserialize = registry.deserialize

__all__ = [
    "XBM",
    "AngularLoss",
    "ArcFaceLoss",
    "Barlow",
    "CircleLoss",
    "ClassWeightLoss",
    "ContrastiveLoss",
    "CosFaceLoss",
    "CrossBatchMemory",
    "DynamicSoftMarginLoss",
    "FastAPLoss",
    "GeneralizedLiftedStructureLoss",
    "HistogramLoss",
    "InstanceLoss",
    "IntraPairVarianceLoss",
    "LargeMarginSoftmaxLoss",
    "LiftedStructLoss",
    "LiftedStructureLoss",
    "ManifoldLoss",
    "MarginLoss",
    "MetricLoss",
    "MultiNegativesRankLoss",
    "MultiSimilarityLoss",
    "MultipleLosses",
    "NCALoss",
    "NPairsLoss",
    "NTXentLoss",
    "NormalizedSoftmaxLoss",
    "P2SGradLoss",
    "PNLoss",
    "PNPLoss",
    "ProxyAnchorLoss",
    "ProxyNCALoss",
    "RankedListLoss",
    "SelfSupervisedLoss",
    "SignalToNoiseRatioContrastiveLoss",
    "SimCLRLoss",
    "SimSiamLoss",
    "SmoothAPLoss",
    "SoftNearestNeighborLoss",
    "SoftTripleLoss",
    "SphereFaceLoss",
    "SubCenterArcFaceLoss",
    "SupConLoss",
    "ThresholdConsistentMarginLoss",
    "TripletLoss",
    "TripletMarginLoss",
    "TupletMarginLoss",
    "TwoViewLoss",
    "VICRegLoss",
    "VicReg",
    "barlow",
    "circle",
    "circle_of_distances",
    "cosine_similarity",
    "deserialize",
    "generalized_lifted_structure",
    "get",
    "lifted_struct",
    "multi_negatives_rank",
    "multi_similarity",
    "nca",
    "nt_xent",
    "register",
    "serialize",
    "simclr",
    "soft_nearest_neighbor",
    "sup_con",
    "triplet",
    "tuplet_margin",
]
