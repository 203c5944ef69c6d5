"""The names that TF-GAN, and the published code, give to the networks' weights."""

from __future__ import annotations

import re

GENERATOR_SCOPE, DISCRIMINATOR_SCOPE = "Generator", "Discriminator"
# TF-GAN's scope of the source discriminator's convolutions; and the published code's, beside a given classifier.
SHARED_TRUNK, SOURCE_TRUNK = "discriminator_input_hidden", "discriminator_input_hidden_source"
# Two weights of TF-GAN's generator that take no part in what it computes.
UNUSED_NORM = "down_2_norm"

_DOWN, _UP = "generator/generator_down_sample", "generator/generator_up_sample"
_BLOCK = "generator/generator_bottleneck/residual_block_{}"
_SCOPES = (
    (r"down_(\d)", _DOWN, "conv_{}"),
    (r"up_(\d)", _UP, "deconv_{}"),
    (r"image_out", _UP, "conv_0"),
    (r"block_(\d+)_(\d)", _BLOCK, "conv_{}"),
    (r"critic_(\d)", "discriminator/{trunk}", "conv_{}"),
    (r"source", "discriminator/discriminator_output_source", "conv"),
    (r"class_head", "discriminator/discriminator_output_class", "fully_connected"),
)


def graph_name(weight: str, source_trunk: str) -> str:
    """Turn the name of one of our weights, "layer/variable", into its name below TF-GAN's outermost scope.

    Args:
        weight: such as "down_0/kernel" or "block_2_1_norm/gamma".
        source_trunk: `SOURCE_TRUNK` beside a frozen classifier, `SHARED_TRUNK` with a class head.

    Returns:
        Such as "generator/generator_down_sample/conv_0/kernel".

    Raises:
        KeyError: for a name that no layer of ours has.
    """
    layer, variable = weight.rsplit("/", 1)
    for pattern, scope, convolution in _SCOPES:
        found = re.fullmatch(pattern, layer.removesuffix("_norm"))
        if found:
            *outer, index = found.groups() or ("",)
            name = _norm_name(int(index)) if layer.endswith("_norm") else convolution.format(index)
            return f"{scope.format(*outer, trunk=source_trunk)}/{name}/{variable}"
    raise KeyError(weight)


def checkpoint_name(weight: str, source_trunk: str) -> str:
    """The whole name of one of our weights in a checkpoint of TF-GAN's estimator."""
    name = graph_name(weight, source_trunk)
    scope = GENERATOR_SCOPE if name.startswith("generator/") else DISCRIMINATOR_SCOPE
    return f"{scope}/{name}"


def _norm_name(index: int) -> str:
    # tf.compat.v1 numbers repeated scopes from the second on.
    return "InstanceNorm" if index == 0 else f"InstanceNorm_{index}"
