"""Train a classifier and GANMEX on handwritten digits and explain test images with every baseline and method."""

from __future__ import annotations

import argparse
from pathlib import Path

from tf_ganmex.cli.common import import_tensorflow

EXAMPLES = """examples:
  ganmex demo                    everything from scratch, some minutes
  ganmex demo --pretrained       with the models in saved_models/digits, seconds
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("--out", type=Path, default=Path("out/demo"), metavar="DIR", help="(default: out/demo)")
    parser.add_argument("--pretrained", action="store_true", help="use the models in --models instead of training")
    parser.add_argument("--models", type=Path, default=None, metavar="DIR",
                        help="classifier.keras and ganmex/ (default: saved_models/digits)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="(default: 0)")


def run(options: argparse.Namespace) -> None:
    """Runs the demonstration."""
    import_tensorflow()
    from tf_ganmex.demo import run_demo

    run_demo(options.out, models=options.models, pretrained=options.pretrained, seed=options.seed)
