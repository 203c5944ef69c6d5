"""DeepLIFT's multipliers, one rule for each kind of operation.

A rule is given an operation, its twin in the graph of the baseline, and the gradient (here: the multiplier) of its
output; it returns one multiplier for each input, such that the contributions m·Δinput of the inputs that vary sum to
grad·Δoutput (summation-to-delta, Shrikumar et al. 2017).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tf_ganmex.attributions.exact import relative_to_likeliest

Rule = Callable[[Any, Any, tf.Tensor], list]

# Below these input differences the slope at the midpoint replaces the secant, whose numerator is then rounding error.
DEEPEXPLAIN_NEAR = 1e-5


def smooth_near(dtype: tf.DType) -> float:
    """For smooth functions, where the slope at the midpoint is off by the difference squared."""
    return 1e-5 if dtype == tf.float64 else 1e-3


def kinked_near(dtype: tf.DType) -> float:
    """For functions whose slope bends or jumps."""
    return 1e-10 if dtype == tf.float64 else 1e-5


def again(op: Any, inputs: list[tf.Tensor]) -> tf.Tensor:
    """The output of the same operation, with the same attributes, on other inputs."""
    renamed = {"reduction_indices": "axis"}  # what tf.raw_ops calls some inputs
    arguments, rest = {}, list(inputs)
    for argument in op.op_def.input_arg:
        if argument.number_attr or argument.type_list_attr:
            arguments[argument.name], rest = rest, []
        else:
            arguments[renamed.get(argument.name, argument.name)] = rest.pop(0)
    derived = {name for a in op.op_def.input_arg for name in (a.type_attr, a.number_attr, a.type_list_attr)}
    attributes = {a.name: op.get_attr(a.name) for a in op.op_def.attr if a.name not in derived}
    decoded = {name: value.decode() if isinstance(value, bytes) else value for name, value in attributes.items()}
    return getattr(tf.raw_ops, op.type)(**arguments, **decoded)


def sum_to_shape(tensor: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """Undoes the broadcasting of ``like`` to the shape of ``tensor`` by summing."""
    axes = tf.raw_ops.BroadcastGradientArgs(s0=tf.shape(like), s1=tf.shape(tensor)).r0
    return tf.reshape(tf.reduce_sum(tensor, axes), tf.shape(like))


def _nothing_for(inputs: Any) -> list[None]:
    return [None] * len(inputs)


# --- operations of one varying input ----------------------------------------------------------------------------------


def rescale(near: Callable[[tf.DType], float], *, relative: bool = False) -> Rule:
    """The rescale rule: Δoutput / Δinput, elementwise; the slope at the midpoint where Δinput is within ``near``."""

    def rule(op: Any, twin: Any, grad: tf.Tensor) -> list:
        x, reference = op.inputs[0], twin.inputs[0]
        middle = (x + reference) / 2
        (slope,) = tf.gradients(again(op, [middle, *op.inputs[1:]]), middle)
        scale = tf.abs(middle) if relative else tf.ones_like(middle)
        multiplier = secant(x, reference, op.outputs[0], twin.outputs[0], slope, near(x.dtype) * scale)
        return [grad * multiplier, *_nothing_for(op.inputs[1:])]

    return rule


def secant(
    x: tf.Tensor, reference: tf.Tensor, y: tf.Tensor, y_reference: tf.Tensor, slope: tf.Tensor, threshold: Any
) -> tf.Tensor:
    """(y − ỹ) / (x − x̃), or ``slope`` where |x − x̃| is at most ``threshold``."""
    difference = x - reference
    near = tf.abs(difference) <= threshold
    return tf.where(near, slope, (y - y_reference) / tf.where(near, tf.ones_like(difference), difference))


def square(op: Any, twin: Any, grad: tf.Tensor) -> list:
    """X² − x̃² = (x + x̃)(x − x̃)."""
    return [grad * (op.inputs[0] + twin.inputs[0])]


# --- operations of two varying inputs ---------------------------------------------------------------------------------


def bilinear(op: Any, twin: Any, grad: tf.Tensor) -> list:
    """Any product: ab − ãb̃ = (b + b̃)/2 · Δa + (a + ã)/2 · Δb, the gradient at the mean operands."""
    middle = [(x + reference) / 2 for x, reference in zip(op.inputs, twin.inputs, strict=True)]
    return tf.gradients(again(op, middle), middle, grad_ys=grad)


def quotient(op: Any, twin: Any, grad: tf.Tensor) -> list:
    """a/b as the product of a and 1/b."""
    (a, b), (a_reference, b_reference) = op.inputs, twin.inputs
    inverse = (1 / b + 1 / b_reference) / 2
    numerator = (a + a_reference) / 2
    return [sum_to_shape(grad * inverse, a), sum_to_shape(-grad * numerator / (b * b_reference), b)]


def squared_difference(op: Any, twin: Any, grad: tf.Tensor) -> list:
    """(a − b)² as the square of the difference."""
    total = grad * (op.inputs[0] - op.inputs[1] + twin.inputs[0] - twin.inputs[1])
    return [sum_to_shape(total, op.inputs[0]), sum_to_shape(-total, op.inputs[1])]


def extremum(op: Any, twin: Any, grad: tf.Tensor) -> list:
    """Maximum and minimum of two: each operand's Shapley value in the game of the two."""
    (a, b), (a_reference, b_reference) = op.inputs, twin.inputs
    both, neither = op.outputs[0], twin.outputs[0]
    only_a, only_b = again(op, [a, b_reference]), again(op, [a_reference, b])
    share_a = (only_a - neither + both - only_b) / 2
    share_b = (only_b - neither + both - only_a) / 2
    return [_per_difference(grad * share_a, a, a_reference), _per_difference(grad * share_b, b, b_reference)]


def _per_difference(share: tf.Tensor, x: tf.Tensor, reference: tf.Tensor) -> tf.Tensor:
    return sum_to_shape(tf.math.divide_no_nan(share, x - reference + tf.zeros_like(share)), x)


# --- operations over several positions --------------------------------------------------------------------------------


def largest(op: Any, twin: Any, grad: tf.Tensor) -> list:
    """Max pooling and maximum over axes: the change from ỹ up to max(y, ỹ) belongs to the position of the maximum of
    x, the change from there down to y to that of x̃ (the rule of SHAP's DeepExplainer).
    """
    x, reference = op.inputs[0], twin.inputs[0]
    y, y_reference = op.outputs[0], twin.outputs[0]
    higher = tf.maximum(y, y_reference)
    rest = list(op.inputs[1:])
    (rise,) = tf.gradients(again(op, [x, *rest]), x, grad_ys=grad * (higher - y_reference))
    (fall,) = tf.gradients(again(twin, [reference, *rest]), reference, grad_ys=grad * (y - higher))
    return [tf.math.divide_no_nan(rise + fall, x - reference), *_nothing_for(rest)]


def softmax(op: Any, twin: Any, grad: tf.Tensor) -> list:
    """Softmax, see :func:`softmax_multipliers`."""
    return [softmax_multipliers(op.inputs[0], twin.inputs[0], grad)]


def softmax_multipliers(z: tf.Tensor, reference: tf.Tensor, grad: tf.Tensor) -> tf.Tensor:
    """The gradient of the softmax with every probability replaced by a logarithmic mean.

    Δp_i = L(p_i, p̃_i) Δlog p_i with the logarithmic mean L, and Δlog p_i = Δz_i − Δlse; as the Δp_i sum to zero,
    Δlse = Σ L_j Δz_j / Σ L_j.
    """
    mean = _logarithmic_means(z, reference)
    grad = relative_to_likeliest(grad, mean)
    common = tf.reduce_sum(grad * mean, -1, keepdims=True) / tf.reduce_sum(mean, -1, keepdims=True)
    return mean * (grad - common)


def softmax_multipliers_of_shap(z: tf.Tensor, reference: tf.Tensor, grad: tf.Tensor) -> tf.Tensor:
    """The softmax as SHAP's DeepExplainer takes it: exponential, sum and quotient, each by its own rule.

    The logits are centred on their maximum first; the multiplier of Δz is that of the centred difference, scaled, which
    loses what the maximum's change does to logits that do not change (inside a network, ReLU makes many of them).
    """
    centred, centred_reference = (value - tf.reduce_max(value, -1, keepdims=True) for value in (z, reference))
    e, e_reference = tf.exp(centred), tf.exp(centred_reference)
    total, total_reference = tf.reduce_sum(e, -1, keepdims=True), tf.reduce_sum(e_reference, -1, keepdims=True)
    of_total = -tf.reduce_sum(grad * (e + e_reference), -1, keepdims=True) / (2 * total * total_reference)
    of_exponential = grad * (1 / total + 1 / total_reference) / 2 + of_total
    multiplier = of_exponential * secant(centred, centred_reference, e, e_reference, e, 1e-6)
    difference = z - reference
    near = tf.abs(difference) < 1e-6
    scale = (centred - centred_reference) / tf.where(near, tf.ones_like(difference), difference)
    return tf.where(near, multiplier, multiplier * scale)


def log_softmax(op: Any, twin: Any, grad: tf.Tensor) -> list:
    """Log-softmax, by the same Δlse as the softmax."""
    mean = _logarithmic_means(op.inputs[0], twin.inputs[0])
    share = mean / tf.reduce_sum(mean, -1, keepdims=True)
    return [grad - share * tf.reduce_sum(grad, -1, keepdims=True)]


def _logarithmic_means(z: tf.Tensor, reference: tf.Tensor) -> tf.Tensor:
    """L(p, p̃) = (p − p̃) / (log p − log p̃) of the probabilities; by its series where they are close."""
    log_p, log_reference = tf.nn.log_softmax(z), tf.nn.log_softmax(reference)
    distance = log_p - log_reference
    near = tf.abs(distance) < 0.1
    series = tf.exp((log_p + log_reference) / 2) * (1 + distance**2 / 24 + distance**4 / 1920)
    apart = tf.where(near, tf.ones_like(distance), distance)
    return tf.where(near, series, (tf.exp(log_p) - tf.exp(log_reference)) / apart)


# --- which operation has which rule -----------------------------------------------------------------------------------

ONE_INPUT: dict[str, Rule] = {
    **dict.fromkeys(["Relu", "Relu6", "LeakyRelu", "Abs", "ClipByValue"], rescale(lambda _: 0.0)),
    **dict.fromkeys(["Elu", "Selu"], rescale(kinked_near)),
    **dict.fromkeys(["Sigmoid", "Tanh", "Softplus", "Softsign", "Exp", "Expm1", "Erf", "Erfc"], rescale(smooth_near)),
    **dict.fromkeys(["Sin", "Cos", "Atan", "Sinh", "Cosh", "Asinh"], rescale(smooth_near)),
    **dict.fromkeys(["Log", "Log1p", "Pow", "Sqrt", "Rsqrt", "Reciprocal", "Inv"], rescale(smooth_near, relative=True)),
    "Square": square,
    "Softmax": softmax,
    "LogSoftmax": log_softmax,
    **dict.fromkeys(["MaxPool", "MaxPoolV2", "MaxPool3D", "Max"], largest),
    "Maximum": extremum,
    "Minimum": extremum,
    "RealDiv": quotient,  # a varying denominator alone
    "SquaredDifference": squared_difference,
}
SEVERAL_INPUTS: dict[str, Rule] = {
    **dict.fromkeys(["Mul", "MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum", "Conv2D"], bilinear),
    "RealDiv": quotient,
    "SquaredDifference": squared_difference,
    "Maximum": extremum,
    "Minimum": extremum,
}
DEEPEXPLAIN: dict[str, Rule] = dict.fromkeys(
    ["Relu", "Elu", "Sigmoid", "Tanh", "Softplus"], rescale(lambda _: DEEPEXPLAIN_NEAR)
)
