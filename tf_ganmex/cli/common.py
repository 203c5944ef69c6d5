"""What several commands share: options, what they say, and what they print."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_ganmex.errors import OptionError
from tf_ganmex.processes import quiet_import

if TYPE_CHECKING:
    from tf_ganmex.classifier import Classifier
    from tf_ganmex.datasets import Dataset

MOST_COLUMNS = 12


def import_tensorflow() -> None:
    """Imports TensorFlow and Keras, saying so: it takes some seconds."""
    say("loading TensorFlow")
    with quiet_import():
        import tensorflow as tf

        import tf_ganmex._backend  # noqa: F401

        tf.config.list_logical_devices()  # looks for graphics cards, and logs that there are none


def keras_progress() -> int:
    """Keras's ``verbose``: a bar on a terminal, a line an epoch elsewhere."""
    return 1 if sys.stdout.isatty() else 2


def say(message: str) -> None:
    """One line of progress, on standard error."""
    print(message, file=sys.stderr, flush=True)


def positive(text: str) -> int:
    """An argument type: an integer of at least one."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected an integer of at least 1, not {text}")
    return int(text)


def add_dataset_options(parser: argparse.ArgumentParser) -> None:
    """``--data-dir``, ``--image-size``, ``--classes`` and ``--colored``."""
    parser.add_argument("--data-dir", type=Path, help="where prepared data lies (TensorFlow Datasets, or NAME.npz)")
    parser.add_argument(
        "--image-size", type=positive, nargs="+", metavar="PIXELS", help="height and width to bring images to"
    )
    parser.add_argument("--classes", nargs="+", metavar="NAME", help="keep these classes only, in this order")
    parser.add_argument("--colored", choices=["class", "color"],
                        help="make grey images red, green or blue; labels: the classes, or the colors")  # fmt: skip


def add_classifier_options(parser: argparse.ArgumentParser) -> None:
    """How to read the model."""
    parser.add_argument("--value-range", type=float, nargs=2, default=(0.0, 1.0), metavar=("LOW", "HIGH"),
                        help="of the images the model was trained on (default: 0 1)")  # fmt: skip
    parser.add_argument("--output", default="auto", choices=["auto", "logits", "probabilities", "multilabel"],
                        help="what the model returns (default: find out)")  # fmt: skip
    parser.add_argument("--signature", help="of a SavedModel: NAME or NAME:OUTPUT")
    parser.add_argument("--trusted", action="store_true", help="read a model file that runs code when it is loaded")


def read_dataset(options: argparse.Namespace, name: str) -> Dataset:
    """The dataset called ``name``, by the options of the command."""
    from tf_ganmex.datasets import colored, load_dataset

    size = options.image_size
    if size is not None and len(size) > 2:
        raise OptionError(f"Expected one or two numbers for --image-size. Received: {size}.")
    data = load_dataset(
        name,
        data_dir=options.data_dir,
        image_size=tuple(size * 2)[:2] if size else None,
        classes=options.classes,
    )
    return colored(data, labels=options.colored) if options.colored else data


def read_classifier(
    options: argparse.Namespace, class_names: list[str] | None = None, guessed: list[str] | None = None
) -> Classifier:
    """The classifier ``options.model``, with ``class_names``, or with those of the data where their number fits."""
    from tf_ganmex.classifier import load_classifier

    def load(names: list[str] | None) -> Classifier:
        return load_classifier(
            options.model,
            output=options.output,
            value_range=tuple(options.value_range),
            class_names=names,
            signature=options.signature,
            trusted=options.trusted,
        )

    clf = load(class_names)
    return load(guessed) if class_names is None and guessed and len(guessed) == clf.num_classes else clf


def print_accuracy(class_names: Sequence[str], facts: dict[str, Any]) -> None:
    """A row a class: its accuracy, and how often the model says which class; of many classes the accuracies alone."""
    from rich.console import Console
    from rich.table import Column, Table

    columns = class_names if len(class_names) <= MOST_COLUMNS else []
    table = Table(
        "class",
        Column("accuracy", min_width=8, no_wrap=True),
        *columns,
        title="test images: rows are classes, columns what the model says",
    )
    shares, matrix = facts["test_accuracy_per_class"], facts["confusion_matrix"]
    for name, share, row in zip(class_names, shares, matrix, strict=True):
        table.add_row(name, "-" if share is None else f"{share:.4f}", *(map(str, row) if columns else ()))
    Console().print(table)
    print(f"test accuracy {facts['test_accuracy']:.4f}")
