"""Test any classifier on the test images of a dataset: accuracy, that of every class, and what it confuses."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from tf_ganmex.cli.common import (
    add_classifier_options,
    add_dataset_options,
    import_tensorflow,
    print_accuracy,
    read_classifier,
    read_dataset,
)
from tf_ganmex.errors import DatasetError

EXAMPLES = """examples:
  ganmex test-classifier saved_models/mnist/classifier.keras mnist --data-dir ~/data
  ganmex test-classifier savedmodel/ photos/ --image-size 224 --value-range -1 1

An accuracy far below what you know of your model says that the images reach it wrong: see --value-range and --classes.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("model", help="a .keras or .h5 file or a SavedModel directory")
    parser.add_argument("dataset", help="a name (digits, mnist, ...), or an .npz, image folder, zip or tar")
    parser.add_argument("--facts", type=Path, metavar="FILE.json",
                        help="bring the accuracies in this file, of train-classifier, up to date")  # fmt: skip
    add_dataset_options(parser)
    add_classifier_options(parser)


def run(options: argparse.Namespace) -> None:
    """Prints accuracy and confusion matrix."""
    known = _read(options.facts) if options.facts else {}
    import_tensorflow()
    from tf_ganmex.files import write_text
    from tf_ganmex.training import accuracy_facts, in_value_range

    data = read_dataset(options, options.dataset)
    clf = read_classifier(options, guessed=data.class_names)
    if clf.num_classes != data.num_classes:
        raise DatasetError(
            f"Expected a dataset of {clf.num_classes} classes, as the model has. Received: {data.num_classes}, "
            f"{data.class_names}. Choose with --classes."
        )
    facts = accuracy_facts(clf.predict(in_value_range(data.x_test, clf.value_range)), data)
    print_accuracy(data.class_names, facts)
    if options.facts:
        write_text(options.facts, json.dumps(known | facts, indent=1) + "\n")


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DatasetError(f"Expected a .json of train-classifier. Received: {path} ({error}).") from error
