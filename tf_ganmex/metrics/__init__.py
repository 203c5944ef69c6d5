"""Measures of attribution maps and of baselines, one family a file."""

from tf_ganmex.metrics.fid import fid, penultimate_features
from tf_ganmex.metrics.perturbation import aopc, perturbation_curve

__all__ = ["aopc", "fid", "penultimate_features", "perturbation_curve"]
