"""The options that decide how a GANMEX is trained, which several commands share."""

from __future__ import annotations

import argparse
import dataclasses
import re
from typing import TYPE_CHECKING, Any

from tf_ganmex.cli.common import positive

if TYPE_CHECKING:
    from tf_ganmex.training import Recipe

# Names of command-line options that are options of GANMEX, and of the recipe.
GANMEX_OPTIONS = (
    "classification_weight",
    "similarity_weight",
    "reconstruction_weight",
    "gradient_penalty_weight",
    "adversarial",
    "schedule",
    "filters",
    "blocks",
    "discriminator_filters",
    "up_sampling",
)
RECIPE_OPTIONS = (
    "steps",
    "batch_size",
    "per_class",
    "learning_rate",
    "discriminator_learning_rate",
    "betas",
    "decay",
    "augmentation",
)
# Trials on MNIST; see docs/methods.md.
DEFAULT_WEIGHTS = {"classification_weight": 20.0, "similarity_weight": 60.0, "reconstruction_weight": 0.0}


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """``--preset``, and groups for steps, losses and networks."""
    parser.add_argument("--preset", choices=["mnist", "apple2orange", "apple2orange-cw100"],
                        help="weights, learning rates, batches and steps of a published run; "
                        "the options below go before it")  # fmt: skip
    _add_steps(parser.add_argument_group("steps"))
    _add_losses(parser.add_argument_group("losses of Eq. 9"))
    _add_networks(parser.add_argument_group("networks"))


def _add_steps(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--steps", type=positive, help="training steps (default: 10000)")
    group.add_argument("--batch-size", type=positive, help="images a batch (default: 32)")
    group.add_argument("--per-class", type=positive, metavar="N", help="instead, images of every class a batch")
    group.add_argument("--schedule", type=_schedule, metavar="joint|G:D",
                       help="update both networks on one batch, or generator G times and then discriminator D times, "
                       "each on its own batch (default: joint; with --trainer estimator 1:1)")  # fmt: skip
    group.add_argument("--learning-rate", type=float, help="of both networks, at the start (default: 0.0003)")
    group.add_argument("--discriminator-learning-rate", type=float, help="where it is another")
    group.add_argument("--betas", type=float, nargs=2, metavar="BETA", help="of Adam (default: 0.5 0.999)")
    group.add_argument("--augmentation", choices=["none", "digits", "objects", "photos"],
                       help="random changes of the training images, where they are few (default: none)")  # fmt: skip
    group.add_argument("--decay", choices=["cosine", "constant"], help="of the learning rates (default: cosine)")


def _add_losses(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--classification-weight", type=float, metavar="λ", help="λ_cls (default: 20)")
    group.add_argument("--similarity-weight", type=float, metavar="λ", help="λ_sim (default: 60)")
    group.add_argument("--reconstruction-weight", type=float, metavar="λ", help="λ_rec (default: 0)")
    group.add_argument("--gradient-penalty-weight", type=float, metavar="λ", help="(default: 10)")
    group.add_argument("--adversarial", choices=["wasserstein", "minimax"], help="(default: wasserstein)")
    group.add_argument("--stand-alone", action="store_true",
                       help="train the class discriminator jointly, in place of the model: the ablation")  # fmt: skip


def _add_networks(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--filters", type=positive, help="of the first convolution (default: 64, as published)")
    group.add_argument("--blocks", type=positive, help="residual blocks (default: 6, as published)")
    group.add_argument("--discriminator-filters", type=positive, help="(default: as --filters)")
    group.add_argument("--up-sampling", choices=["transposed", "resize"],
                       help="transposed convolutions, or resize and convolve (default: transposed)")  # fmt: skip
    group.add_argument("--no-down-sampling", action="store_true", help="convolve at full size")
    group.add_argument("--mixed-precision", action="store_true", help="bfloat16 layers: faster on recent processors")


def training_settings(options: argparse.Namespace) -> tuple[Recipe, dict[str, Any]]:
    """The recipe and the options of GANMEX: what was given, then the preset, then the defaults."""
    from tf_ganmex.gan import PRESETS
    from tf_ganmex.training import Recipe

    preset = PRESETS[options.preset] if options.preset else None
    recipe = Recipe.published(preset) if preset else Recipe()
    given = {name: getattr(options, name) for name in RECIPE_OPTIONS if getattr(options, name) is not None}
    if "batch_size" in given and "per_class" not in given:
        given["per_class"] = None
    if "learning_rate" in given:
        given.setdefault("discriminator_learning_rate", None)
    if "betas" in given:
        given["betas"] = tuple(given["betas"])
    settings: dict[str, Any] = dict(preset.options if preset else DEFAULT_WEIGHTS)
    settings |= {name: getattr(options, name) for name in GANMEX_OPTIONS if getattr(options, name) is not None}
    if options.stand_alone:
        settings["class_discriminator"] = "joint"
    if options.no_down_sampling:
        settings["down_sampling"] = False
    if options.mixed_precision:
        settings["dtype"] = "mixed_bfloat16"
    return dataclasses.replace(recipe, **given), settings


def _schedule(text: str) -> str | tuple[int, int]:
    if text == "joint":
        return text
    match = re.fullmatch(r"(\d+):(\d+)", text)
    if match is None or "0" in match.groups():
        raise argparse.ArgumentTypeError(f"expected joint or two numbers as in 1:5, not {text}")
    return int(match[1]), int(match[2])
