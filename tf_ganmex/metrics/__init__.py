"""Measures of attribution maps and of baselines, one family a file."""

from tf_ganmex.metrics.bootstrap import Interval, bootstrap_interval
from tf_ganmex.metrics.distances import assigned_to, baseline_distance, inter_class_distance, intra_class_distance
from tf_ganmex.metrics.effects import StoredEffects, draw_effects, flip_drops
from tf_ganmex.metrics.faithfulness import faithfulness
from tf_ganmex.metrics.fid import fid, penultimate_features
from tf_ganmex.metrics.localization import bam_relevant_mask, edge_strips, inverse_localization
from tf_ganmex.metrics.monotonicity import monotonicity
from tf_ganmex.metrics.perturbation import aopc, perturbation_curve
from tf_ganmex.metrics.retraining import Retrainer
from tf_ganmex.metrics.roar import RoarArea, class_pairs, one_pair, remove_top, roar, roar_area
from tf_ganmex.metrics.sparsity import gini, gini_shifted

__all__ = [
    "Interval",
    "Retrainer",
    "RoarArea",
    "StoredEffects",
    "aopc",
    "assigned_to",
    "bam_relevant_mask",
    "baseline_distance",
    "bootstrap_interval",
    "class_pairs",
    "draw_effects",
    "edge_strips",
    "faithfulness",
    "fid",
    "flip_drops",
    "gini",
    "gini_shifted",
    "inter_class_distance",
    "intra_class_distance",
    "inverse_localization",
    "monotonicity",
    "one_pair",
    "penultimate_features",
    "perturbation_curve",
    "remove_top",
    "roar",
    "roar_area",
]
