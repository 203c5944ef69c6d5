"""Scan over the weights of the losses: a GANMEX for every value, with a picture and a table of what each does."""

from __future__ import annotations

import argparse
from pathlib import Path

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
from tf_ganmex.cli.training_options import add_training_options, training_settings
from tf_ganmex.errors import OptionError
from tf_ganmex.files import write_text

EXAMPLES = """examples:
  ganmex scan digits.keras digits --vary similarity 0 20 60 --steps 1000 --filters 16 --blocks 2 --out scan
  ganmex scan mnist.keras mnist --vary classification 1 5 20 100 --vary similarity 0 20 45 100 \\
      --vary reconstruction 0 10 100 --steps 2000 --filters 32 --blocks 3 --mixed-precision --out mnist_scan

Weights that are not varied have the values of ganmex train, or those given. Run the same command again after an
interruption: it goes on from the last checkpoint.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("model", help="a .keras or .h5 file or a SavedModel directory")
    parser.add_argument("dataset", help="a name (digits, mnist, ...), or an .npz, image folder, zip or tar")
    parser.add_argument("--vary", nargs="+", action="append", required=True, metavar=("WEIGHT", "VALUE"),
                        help="classification, similarity or reconstruction, and the values to try")  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, metavar="DIR",
                        help="where to write scan.md, scan.csv, scan.png and the generators")  # fmt: skip
    parser.add_argument("--limit", type=positive, help="how many test images to measure on (default: all)")
    parser.add_argument("--every", type=positive, default=500, help="steps between checkpoints (default: 500)")
    parser.add_argument("--seed", type=int, default=0, help="of training and targets (default: 0)")
    add_training_options(parser)
    add_dataset_options(parser)
    add_classifier_options(parser)


def run(options: argparse.Namespace) -> None:
    """Trains, measures and writes; the table grows with every generator."""
    values = _values(options.vary)
    import_tensorflow()
    from tf_ganmex import plotting
    from tf_ganmex.training.scan import WEIGHTS, plot_scan, scan_table, scan_weights, scanned_images, write_scan

    data = read_dataset(options, options.dataset)
    clf = read_classifier(options, guessed=data.class_names)
    recipe, settings = training_settings(options)
    base = {name: settings.pop(f"{name}_weight") for name in WEIGHTS}
    x, target = scanned_images(clf, data, options.limit, options.seed)
    facts = {name: settings[name] for name in ("filters", "blocks") if name in settings} | base
    said = ", ".join(f"{name} {value:g}" for name, value in facts.items())
    heading = (
        f"{data.name}: {len(x)} test images, each against a random other class. {recipe.steps} steps each, seed "
        f"{options.seed}; where not varied: {said}.\n\n"
    )
    trials = []
    for trial in scan_weights(
        clf,
        data,
        options.out,
        values,
        base=base,
        recipe=recipe,
        limit=options.limit,
        every=options.every,
        seed=options.seed,
        verbose=keras_progress(),
        **settings,
    ):
        say(f"{trial.weight} {trial.value:g}: {trial.share:.2%} classified as target, distance {trial.distance:.3f}")
        trials.append(trial)
        write_scan(trials, options.out / "scan.csv")
        write_text(options.out / "scan.md", heading + scan_table(trials))
    shown = len(trials[0].baselines)
    names = [clf.class_names[label] for label in data.y_test[:shown]]
    titles = [f"{name} to {clf.class_names[t]}" for name, t in zip(names, target, strict=False)]
    figure = plot_scan(x[:shown], titles, trials, value_range=clf.value_range)
    print(scan_table(trials))
    print(plotting.save_figure(figure, options.out / "scan.png"))


def _values(given: list[list[str]]) -> dict[str, list[float]]:
    values: dict[str, list[float]] = {}
    for name, *numbers in given:
        try:
            values.setdefault(name, []).extend(map(float, numbers))
        except ValueError as error:
            raise OptionError(f"Expected numbers after --vary {name}. Received: {' '.join(numbers)}.") from error
        if not numbers:
            raise OptionError(f"Expected one or more values after --vary {name}. Received: none.")
    return values
