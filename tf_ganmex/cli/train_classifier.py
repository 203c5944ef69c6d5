"""Train a classifier from scratch on a dataset."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_ganmex.cli.common import (
    add_dataset_options,
    import_tensorflow,
    keras_progress,
    positive,
    print_accuracy,
    read_dataset,
    say,
)

if TYPE_CHECKING:
    from tf_ganmex.training import ClassifierRecipe

EXAMPLES = """examples:
  ganmex train-classifier digits --out digits.keras
  ganmex train-classifier mnist --data-dir ~/data --epochs 12 --augmentation digits --out mnist.keras
  ganmex train-classifier cifar10 --architecture cifar10_classifier --augmentation objects --epochs 30 --out cifar10/
  ganmex train-classifier mnist --classes 4 9 --out four_or_nine.keras
  ganmex train-classifier photos/ --image-size 128 --architecture mobilenet_classifier --weights imagenet \\
      --balanced --out photos.keras                                    (photos/CLASS/*.jpg)

Run the same command again after an interruption: it goes on from the last epoch.
"""

# Names of command-line options that are options of the recipe.
RECIPE_OPTIONS = (
    "epochs",
    "batch_size",
    "optimizer",
    "learning_rate",
    "decay",
    "augmentation",
    "validation",
    "patience",
)
# Names of command-line options that decide which images it is trained on.
DATA_OPTIONS = ("image_size", "classes", "colored")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("dataset", help="a name (digits, mnist, ...), or an .npz, image folder, zip or tar")
    parser.add_argument("--out", type=Path, required=True, metavar="MODEL",
                        help="where to write it: a .keras file, or a directory for a SavedModel")  # fmt: skip
    parser.add_argument("--architecture", default="auto",
                        help="a name of tf_ganmex.zoo, such as cifar10_classifier (default: auto)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and dropout (default: 0)")
    _add_recipe(parser.add_argument_group("recipe"))
    _add_mobilenet(parser.add_argument_group("mobilenet_classifier"))
    add_dataset_options(parser)


def _add_recipe(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--published", action="store_true",
                       help="the published recipe: RMSprop, batches of 32, plateau, early stopping, up to 50 epochs; "
                       "the options below go before it")  # fmt: skip
    group.add_argument("--epochs", type=positive, help="passes over the training images (default: 12)")
    group.add_argument("--batch-size", type=positive, help="images a step (default: 64)")
    group.add_argument("--optimizer", choices=["adam", "rmsprop", "sgd"], help="(default: adam)")
    group.add_argument("--learning-rate", type=float, help="at the start (default: 0.001)")
    group.add_argument("--decay", choices=["cosine", "plateau", "constant"], help="of the learning rate "
                       "(default: cosine; plateau: halved when validation accuracy stands still)")  # fmt: skip
    group.add_argument("--augmentation", choices=["none", "digits", "objects", "photos"],
                       help="random changes: a little rotation, zoom and shift; shift and mirror; more of all "
                       "(default: none)")  # fmt: skip
    group.add_argument("--validation", type=float, metavar="FRACTION",
                       help="of the training images, kept to choose by (default: 0)")  # fmt: skip
    group.add_argument("--patience", type=positive, metavar="EPOCHS",
                       help="stop after so many without a lower validation loss; take the best weights")  # fmt: skip
    group.add_argument("--balanced", action="store_true", help="weigh classes by the inverse of their size")
    group.add_argument("--mixed-precision", action="store_true", help="bfloat16 layers: faster on recent processors")


def _add_mobilenet(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--weights", help="imagenet, or a file of MobileNet's weights without top (default: random)")
    group.add_argument("--alpha", type=float, help="width of the MobileNet (default: 1)")
    group.add_argument("--fine-tune", action="store_true", help="train the MobileNet too, not its head alone")


def run(options: argparse.Namespace) -> None:
    """Trains, writes the model and a .json beside it, and prints accuracy and confusion matrix."""
    from tf_ganmex.errors import OptionError

    if options.out.suffix not in (".keras", ""):
        raise OptionError(f"Expected --out to end in .keras, or a directory. Received: {options.out}.")
    import_tensorflow()
    from tf_ganmex.training import save_classifier, train_classifier

    data = read_dataset(options, options.dataset)
    say(
        f"{data.name}: {len(data.x_train)} training and {len(data.x_test)} test images, {len(data.class_names)} classes"
    )
    recipe, extra = _recipe(options), _architecture_options(options)
    model = train_classifier(
        data,
        options.architecture,
        recipe=recipe,
        seed=options.seed,
        directory=options.out.with_name(f"{options.out.stem}.training"),
        verbose=keras_progress(),
        **extra,
    )
    settings = {"architecture": options.architecture, "seed": options.seed, **recipe.as_dict(), **extra}
    settings |= {name: getattr(options, name) for name in DATA_OPTIONS if getattr(options, name) is not None}
    if "weights" in settings:
        settings["weights"] = Path(settings["weights"]).name  # where the file lies says nothing about the model
    facts = save_classifier(model, data, options.out, settings)
    print_accuracy(data.class_names, facts)
    print(json.dumps({"model": str(options.out), "facts": str(options.out.with_suffix(".json"))}))


def _recipe(options: argparse.Namespace) -> ClassifierRecipe:
    from tf_ganmex.training import ClassifierRecipe

    given = {name: getattr(options, name) for name in RECIPE_OPTIONS if getattr(options, name) is not None}
    given["balanced"] = options.balanced
    given["dtype"] = "mixed_bfloat16" if options.mixed_precision else "float32"
    return ClassifierRecipe.published(**given) if options.published else ClassifierRecipe(**given)


def _architecture_options(options: argparse.Namespace) -> dict[str, Any]:
    given = {name: getattr(options, name) for name in ("weights", "alpha") if getattr(options, name) is not None}
    return given | ({"frozen": False} if options.fine_tune else {})
