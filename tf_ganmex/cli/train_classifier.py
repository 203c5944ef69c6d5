"""Train a classifier from scratch on a dataset."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from tf_ganmex.cli.common import add_dataset_options, import_tensorflow, keras_progress, positive, read_dataset, say

EXAMPLES = """examples:
  ganmex train-classifier digits --out digits.keras
  ganmex train-classifier mnist --data-dir ~/data --epochs 12 --out mnist.keras
  ganmex train-classifier photos/ --image-size 64 --out photos.keras   (photos/CLASS/*.jpg)
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("dataset", help="a name (digits, mnist, ...), or an .npz, image folder, zip or tar")
    parser.add_argument("--out", type=Path, required=True, metavar="MODEL.keras", help="where to write the model")
    parser.add_argument("--architecture", default="auto", help="mnist_classifier, small_cnn, or auto by image size")
    parser.add_argument("--epochs", type=positive, default=12, help="passes over the training images (default: 12)")
    parser.add_argument("--batch-size", type=positive, default=64, help="images a step (default: 64)")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="at the start (default: 0.001)")
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and dropout (default: 0)")
    add_dataset_options(parser)


def run(options: argparse.Namespace) -> None:
    """Trains, writes MODEL.keras and MODEL.json, and prints the test accuracy."""
    from tf_ganmex.errors import OptionError

    if options.out.suffix != ".keras":
        raise OptionError(f"Expected --out to end in .keras. Received: {options.out}.")
    import_tensorflow()
    from tf_ganmex.training import save_classifier, train_classifier

    data = read_dataset(options, options.dataset)
    say(
        f"{data.name}: {len(data.x_train)} training and {len(data.x_test)} test images, {len(data.class_names)} classes"
    )
    settings = {
        name: getattr(options, name) for name in ("architecture", "epochs", "batch_size", "learning_rate", "seed")
    }
    model = train_classifier(data, **settings, verbose=keras_progress())
    facts = save_classifier(model, data, options.out, settings)
    print(f"test accuracy {facts['test_accuracy']:.4f}")
    print(json.dumps({"model": str(options.out), "facts": str(options.out.with_suffix(".json"))}))
