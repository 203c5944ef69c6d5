"""Measures of attribution maps, one family a file."""

from tf_ganmex.metrics.perturbation import aopc, perturbation_curve

__all__ = ["aopc", "perturbation_curve"]
