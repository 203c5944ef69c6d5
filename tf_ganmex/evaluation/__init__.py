"""Metrics × methods × baselines on a user's model and data: ``gx.evaluate``."""

from tf_ganmex.evaluation.evaluating import evaluate
from tf_ganmex.evaluation.table import Curve, EvaluationTable, Row

__all__ = ["Curve", "EvaluationTable", "Row", "evaluate"]
