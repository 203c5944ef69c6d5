"""DeepLIFT."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2, node_def_pb2

from tf_ganmex.attributions import deeplift_rules
from tf_ganmex.attributions.deeplift_rules import Rule, secant, softmax_multipliers, softmax_multipliers_of_shap
from tf_ganmex.attributions.exact import known
from tf_ganmex.attributions.graphs.linear import is_linear, varying_nodes
from tf_ganmex.attributions.problem import (
    Baseline,
    Problem,
    check_baseline,
    evaluations_at_once,
    even_batches,
    explain_in_batches,
    pair_count,
    pose,
)
from tf_ganmex.classifier import Classifier
from tf_ganmex.classifier.graph import FrozenGraph, class_axis_last, import_graph
from tf_ganmex.errors import OptionError, UnsupportedOpError

RULE_SETS = ("complete", "deepexplain")
SOFTMAX_MULTIPLIERS = {"complete": softmax_multipliers, "shap": softmax_multipliers_of_shap}
_GRADIENT = "TfGanmexDeepLift"


def deeplift(
    clf: Classifier,
    x: Any,
    origin: Any,
    target: Any,
    baseline: Baseline,
    *,
    rules: str = "complete",
    score: str = "probability",
    batch_size: int | None = None,
) -> np.ndarray:
    """DeepLIFT, rescale rule, of the score delta (Shrikumar et al. 2017; GANMEX, section 2.1).

    Args:
        clf: the classifier; its graph must be known.
        x: images (n, h, w, c) in its value range.
        origin: class or classes (n,) to explain.
        target: class or classes (n,) to compare with; None for one-vs-all; ``"average"`` for the mean of the
            one-vs-one maps over all other classes.
        baseline: (n, h, w, c) one per image, (h, w, c) one for all, (n or 1, k, h, w, c) several (their maps are
            averaged), or a callable (x, target) -> images.
        rules: ``"complete"`` has a rule for every nonlinear operation, so that the map sums to Δ(x) − Δ(x̃).
            ``"deepexplain"`` is what the paper's code does: the rescale rule for ReLU, ELU, sigmoid, tanh and softplus;
            max pooling, the final softmax and all else keep their ordinary gradient. The softmax's is rounded as
            theirs: where a probability is 1 in float32, it lacks that class.
        score: ``"probability"`` or ``"logit"``.
        batch_size: images at a time; None chooses.

    Returns:
        Maps (n, h, w, c).

    Raises:
        UnsupportedOpError: if the graph holds an operation without a rule, before any work.
        ImageError, LabelError, BaselineError, OptionError: for arguments that do not fit.
    """
    if rules not in RULE_SETS:
        raise OptionError(f"Expected rules to be one of {RULE_SETS}. Received: rules={rules!r}.")
    return explain_with_rules(pose(clf, x, origin, target, score), baseline, rules, batch_size)


def explain_with_rules(problem: Problem, baseline: Baseline, rules: str, batch_size: int | None) -> np.ndarray:
    """Maps (n, h, w, c) by one of the sets of rules; ``"shap"`` is the complete set, at the end SHAP's softmax."""
    clf, score = problem.clf, problem.score
    chosen = rules_of_nodes(clf.graph, rules)
    kernel = clf.kernel(("deeplift", rules, score), lambda: _contributions(clf, rules, chosen, score))

    def method(part: Problem, baselines: np.ndarray) -> np.ndarray:
        arrays = (tf.constant(array) for array in (part.x, baselines, part.contrast))
        return kernel(*arrays, clf.weight_tensors).numpy()

    at_once = evaluations_at_once(problem, batch_size, held=4)  # of image and baseline, forward and backward
    baseline = check_baseline(problem, baseline)
    rows = clf.graph.batch or even_batches(pair_count(problem, baseline), at_once)
    return explain_in_batches(problem, baseline, method, rows)


def rules_of_nodes(graph: FrozenGraph, rules: str) -> dict[str, Rule]:
    """The rule of every node that depends on the image and does not keep its ordinary gradient.

    Raises:
        UnsupportedOpError: in the complete set, if a node has neither a rule nor is linear.
    """
    chosen: dict[str, Rule] = {}
    unsupported: dict[str, str] = {}
    for node, which in varying_nodes(graph):
        rule = _rule(node, which, rules)
        if rule is not None:
            chosen[node.name] = rule
        elif rules != "deepexplain" and not is_linear(node, which):
            unsupported.setdefault(node.op, node.name)
    if unsupported:
        raise UnsupportedOpError(
            "Expected a graph whose operations all have a DeepLIFT rule. Received: "
            + ", ".join(f"{op} ({name!r})" for op, name in sorted(unsupported.items()))
            + ". Use rules='deepexplain', which gives them their ordinary gradient, or integrated_gradients."
        )
    return chosen


def _rule(node: node_def_pb2.NodeDef, varying: list[int], rules: str) -> Rule | None:
    if rules == "deepexplain":
        return deeplift_rules.DEEPEXPLAIN.get(node.op)
    if len(varying) > 1:
        return deeplift_rules.SEVERAL_INPUTS.get(node.op)
    if node.op == "RealDiv" and varying == [0]:
        return None
    if node.op == "Pow" and varying != [0]:
        return None
    return deeplift_rules.ONE_INPUT.get(node.op)


# --- the twin graph ---------------------------------------------------------------------------------------------------


def _contributions(clf: Classifier, rules: str, chosen: dict[str, Rule], score: str) -> Callable:
    """A function of (x, x̃, contrast, weights) to the contributions m ⊙ (x − x̃)."""
    graph = clf.graph
    definition = _with_rules(graph.graph_def, chosen, complete=rules != "deepexplain")

    def contributions(
        x: tf.Tensor, reference: tf.Tensor, contrast: tf.Tensor, weights: tuple[tf.Tensor, ...]
    ) -> tf.Tensor:
        wanted = [graph.output, *chosen]
        twin_output, *twins = import_graph(definition, graph.feeds(reference, weights), wanted)
        output, *operations = import_graph(definition, graph.feeds(x, weights), wanted)
        _attach(
            {op.name: (twin, rule) for op, twin, rule in zip(operations, twins, chosen.values(), strict=True)}, x.graph
        )
        raw, raw_reference = (class_axis_last(tensor, graph.classes) for tensor in (output, twin_output))
        multipliers = head_multipliers(
            clf, tf.cast(raw, x.dtype), tf.cast(raw_reference, x.dtype), contrast, score, rules
        )
        (gradient,) = tf.gradients(raw, x, grad_ys=tf.cast(multipliers, raw.dtype))
        return known(gradient) * (x - reference)

    return contributions


def _with_rules(definition: graph_pb2.GraphDef, chosen: dict[str, Rule], *, complete: bool) -> graph_pb2.GraphDef:
    marked = graph_pb2.GraphDef()
    marked.CopyFrom(definition)
    for node in marked.node:
        if node.name in chosen:
            node.attr["_gradient_op_type"].s = _GRADIENT.encode()
        elif complete and node.op == "StopGradient":  # tf.nn.moments holds its mean fixed, which summation must not
            node.op = "Identity"
    return marked


def _attach(rules: dict[str, tuple[Any, Rule]], graph: tf.Graph) -> None:
    graph.add_to_collection(_GRADIENT, rules)


def _backpropagate(op: Any, *gradients: tf.Tensor) -> list:
    """The registered gradient of every marked operation: applies the rule that its graph keeps for it."""
    twin, rule = op.graph.get_collection(_GRADIENT)[0][op.name]
    return rule(op, twin, gradients[0])


# A module that is reloaded, in a notebook, finds its gradient registered; it does the same.
with contextlib.suppress(KeyError):
    tf.RegisterGradient(_GRADIENT)(_backpropagate)


def head_multipliers(
    clf: Classifier, raw: tf.Tensor, reference: tf.Tensor, contrast: tf.Tensor, score: str, rules: str
) -> tf.Tensor:
    """Multipliers of the score delta with respect to the raw outputs (n, outputs) of the graph."""
    head = clf.head
    probability = score == "probability"
    if head.kind == "binary":  # scores (0, z) or (1 − p, p)
        contrast = contrast[:, 1:] - contrast[:, :1] if probability else contrast[:, 1:]
    if head.raw == ("probabilities" if probability else "logits"):
        return contrast
    if head.kind == "softmax" and probability:
        if rules in SOFTMAX_MULTIPLIERS:
            return SOFTMAX_MULTIPLIERS[rules](raw, reference, contrast)
        probabilities = tf.nn.softmax(raw)
        return probabilities * (contrast - tf.reduce_sum(contrast * probabilities, -1, keepdims=True))
    middle = (raw + reference) / 2
    scores = head.probabilities if probability else head.logits
    elementwise = (lambda z: scores(z)[:, 1:]) if head.kind == "binary" else scores
    (slope,) = tf.gradients(elementwise(middle), middle)
    near = deeplift_rules.DEEPEXPLAIN_NEAR if rules == "deepexplain" else deeplift_rules.smooth_near(raw.dtype)
    if head.raw == "probabilities":  # next to zero, and for the sigmoid next to one, their logits are steep
        near *= middle if head.kind == "softmax" else tf.maximum(tf.minimum(middle, 1 - middle), 0)
    return contrast * secant(raw, reference, elementwise(raw), elementwise(reference), slope, near)
