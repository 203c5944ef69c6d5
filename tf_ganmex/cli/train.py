"""Train a GANMEX generator for a classifier."""

from __future__ import annotations

import argparse
import dataclasses
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_ganmex.cli.common import (
    add_classifier_options,
    add_dataset_options,
    import_tensorflow,
    keras_progress,
    positive,
    read_classifier,
    read_dataset,
    say,
)
from tf_ganmex.errors import OptionError

if TYPE_CHECKING:
    from tf_ganmex.training import Recipe

EXAMPLES = """examples:
  ganmex train digits.keras digits --steps 1500 --filters 16 --blocks 2 --out digits_ganmex
  ganmex train mnist.keras mnist --data-dir ~/data --filters 32 --blocks 3 --mixed-precision --out mnist_ganmex
  ganmex train mnist.keras mnist --trainer estimator --filters 32 --blocks 3 --out mnist_ganmex   (TF-GAN's estimator)
  ganmex train a2o.h5 apple2orange --preset apple2orange --out a2o_ganmex       (as published; days on a processor)
  ganmex train savedmodel/ photos.npz --out photos_ganmex      (the published network sizes)

Run the same command again after an interruption: it goes on from the last checkpoint. The defaults below hold without
--preset.
"""

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
)
# Trials on MNIST; see docs/methods.md.
DEFAULT_WEIGHTS = {"classification_weight": 20.0, "similarity_weight": 60.0, "reconstruction_weight": 0.0}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("model", help="a .keras or .h5 file or a SavedModel directory")
    parser.add_argument("dataset", help="a name (digits, mnist, ...), or an .npz, image folder, zip or tar")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="where to write GANMEX, checkpoints, pictures"
    )
    parser.add_argument("--trainer", default="keras", choices=["keras", "estimator"],
                        help="estimator: TF-GAN's StarGANEstimator, as published (default: keras)")  # fmt: skip
    parser.add_argument("--preset", choices=["mnist", "apple2orange", "apple2orange-cw100"],
                        help="weights, learning rates, batches and steps of a published run; "
                        "the options below go before it")  # fmt: skip
    parser.add_argument("--every", type=positive, default=500,
                        help="steps between checkpoints and pictures (default: 500)")  # fmt: skip
    parser.add_argument("--tensorboard", type=Path, metavar="DIR", help="also write TensorBoard scalars there")
    parser.add_argument("--float16", action="store_true", help="write the weights in half precision, a smaller file")
    parser.add_argument("--without-discriminator", action="store_true", help="write what explaining needs, no more")
    parser.add_argument("--seed", type=int, default=0, help="of weights, batches and targets (default: 0)")
    _add_steps(parser.add_argument_group("steps"))
    _add_losses(parser.add_argument_group("losses of Eq. 9"))
    _add_networks(parser.add_argument_group("networks"))
    add_dataset_options(parser)
    add_classifier_options(parser)


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


def run(options: argparse.Namespace) -> None:
    """Trains and writes the GANMEX directory."""
    import_tensorflow()
    from tf_ganmex._backend import keras
    from tf_ganmex.training import in_value_range, train_ganmex

    data = read_dataset(options, options.dataset)
    clf = read_classifier(options, guessed=data.class_names)
    predicted = clf.predict(in_value_range(data.x_test, clf.value_range))
    say(f"{options.model}: accuracy {(predicted == data.y_test).mean():.4f} on {len(predicted)} test images")
    recipe, settings = _settings(options)
    if options.tensorboard and options.trainer == "estimator":
        raise OptionError(
            "Expected --tensorboard with the Keras trainer. Received: --trainer estimator. Leave it out: TensorBoard's "
            f"events are in {options.out / 'estimator'} anyway."
        )
    gan = train_ganmex(
        clf,
        data,
        options.out,
        trainer=options.trainer,
        recipe=recipe,
        every=options.every,
        seed=options.seed,
        callbacks=[keras.callbacks.TensorBoard(options.tensorboard)] if options.tensorboard else [],
        verbose=keras_progress(),
        **settings,
    )
    gan.save(
        options.out,
        weights_dtype="float16" if options.float16 else "float32",
        discriminator=not options.without_discriminator,
        notes={"dataset": data.name, "steps": recipe.steps, "seed": options.seed, "trainer": options.trainer},
    )
    print(f"GANMEX in {options.out}: ganmex explain {options.model} --baseline {options.out} ...")


def _settings(options: argparse.Namespace) -> tuple[Recipe, dict[str, Any]]:
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
