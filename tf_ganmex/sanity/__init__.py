"""Sanity checks: whether maps depend on the classifier that they explain, and on the class that they explain."""

from tf_ganmex.sanity.adaptation import PerStage, ganmex_per_stage, stage_weight
from tf_ganmex.sanity.layers import Layer, layers_of
from tf_ganmex.sanity.randomization import cascading_randomization, independent_randomization
from tf_ganmex.sanity.result import SanityCheck, SimilarityRow
from tf_ganmex.sanity.similarity import MEASURES, similarity
from tf_ganmex.sanity.testing import random_logit_test, randomization_test

__all__ = [
    "MEASURES",
    "Layer",
    "PerStage",
    "SanityCheck",
    "SimilarityRow",
    "cascading_randomization",
    "ganmex_per_stage",
    "independent_randomization",
    "layers_of",
    "random_logit_test",
    "randomization_test",
    "similarity",
    "stage_weight",
]
