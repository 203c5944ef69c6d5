"""The GANMEX paper's tables and figures for the models at hand, beside the published numbers."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tf_ganmex.cli.common import import_tensorflow, positive, say
from tf_ganmex.errors import OptionError

if TYPE_CHECKING:
    from tf_ganmex.reproduce.problem import Problem, Setup
    from tf_ganmex.reproduce.roar_columns import Scale
    from tf_ganmex.reproduce.sheet import Sheet

EXAMPLES = """examples:
  ganmex reproduce digits --limit 100
  ganmex reproduce mnist --table 2 3 --limit 500 --monotonicity-images 100
  ganmex reproduce mnist
  ganmex reproduce svhn_cropped --models svhn_models/ --data-dir ~/data --figure curves targets --limit 200

Writes table2.md, .csv, ... and pictures into --out. Every finished cell is kept in --keep: run the same command again
after an interruption, or with a larger --limit, and only what is missing is computed.
"""
TABLES = (2, 3, 4)
FIGURES = ("targets", "baselines", "curves", "sparsity", "misclassified", "randomization", "scan")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("dataset", help="mnist, svhn_cropped, cifar10, another name, or an .npz, image folder or zip")
    parser.add_argument("--table", nargs="+", type=int, metavar="N", help="2, 3, 4 (default: all, without --figure)")
    parser.add_argument("--figure", nargs="+", metavar="NAME",
                        help=f"{', '.join(FIGURES)} (default: all, without --table)")  # fmt: skip
    parser.add_argument("--models", type=Path, metavar="DIR",
                        help="with classifier.keras and ganmex/ (default: saved_models/DATASET)")  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="DIR", help="(default: reproduced/DATASET)")
    parser.add_argument("--keep", type=Path, metavar="DIR",
                        help="where what is computed is kept (default: OUT/kept)")  # fmt: skip
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="where prepared data lies")
    parser.add_argument("--image-size", type=positive, nargs="+", metavar="PIXELS",
                        help="height and width to bring images to (default: the classifier's)")  # fmt: skip
    parser.add_argument("--classes", nargs="+", metavar="NAME", help="keep these classes only, in this order")
    parser.add_argument("--limit", type=positive, metavar="N", help="test images (default: all)")
    parser.add_argument("--steps", type=positive, default=200, metavar="N",
                        help="of integrated and expected gradients (default: 200)")  # fmt: skip
    parser.add_argument("--monotonicity-images", type=positive, default=1000, metavar="N", help="(default: 1000)")
    parser.add_argument("--monotonicity-draws", type=positive, default=100, metavar="N",
                        help="values drawn for each feature (default: 100)")  # fmt: skip
    parser.add_argument("--stage-steps", type=positive, default=200, metavar="N",
                        help="of training GANMEX on, for each randomized classifier (default: 200)")  # fmt: skip
    parser.add_argument("--stand-alone-steps", type=positive, default=3000, metavar="N",
                        help="of training the GAN that does not know the classifier, for the randomization "
                        "(default: 3000)")  # fmt: skip
    parser.add_argument("--scan-steps", type=positive, default=2000, metavar="N",
                        help="of training each generator of the scan (default: 2000)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of images, targets, samples and draws (default: 0)")
    parser.add_argument("--jobs", type=positive, metavar="N", help="processes (default: one a core, up to 4)")
    _add_roar(parser.add_argument_group("ROAR, of Table 3"))


def _add_roar(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--roar-images", type=_count, metavar="N",
                       help="training images of each pair of classes, or all; 0 leaves ROAR out "
                       "(default: all of mnist without --limit, otherwise 0)")  # fmt: skip
    group.add_argument("--roar-pairs", type=positive, metavar="N", help="pairs of classes (default: all disjoint ones)")
    group.add_argument("--roar-repeats", type=positive, default=3, metavar="N", help="retrainings (default: 3)")
    group.add_argument("--roar-steps", type=positive, metavar="N",
                       help="of integrated and expected gradients (default: --steps)")  # fmt: skip


def run(options: argparse.Namespace) -> None:
    """Measures, writes and prints."""
    tables, figures = _wanted(options)
    import_tensorflow()
    from tf_ganmex.reproduce.figures import FIGURES as DRAWN
    from tf_ganmex.reproduce.problem import open_problem

    problem = open_problem(_setup(options))
    out = _out(options)
    for number in tables:
        start = time.monotonic()
        say(f"Table {number}")
        sheet = _table(number, problem, options)
        print(sheet.to_markdown())
        print(*sheet.write(out, f"table{number}"), sep="\n")
        say(f"Table {number}: {time.monotonic() - start:.0f} s")
    for name in figures:
        start = time.monotonic()
        say(f"figure {name}")
        print(*DRAWN[name](problem, out), sep="\n")
        say(f"figure {name}: {time.monotonic() - start:.0f} s")


def _wanted(options: argparse.Namespace) -> tuple[list[int], list[str]]:
    """Tables and figures asked for; all where none is."""
    for name, asked, known in (("--table", options.table, TABLES), ("--figure", options.figure, FIGURES)):
        unknown = [each for each in asked or [] if each not in known]
        if unknown:
            raise OptionError(f"Expected {name} among {', '.join(map(str, known))}. Received: {unknown[0]}.")
    if options.table is None and options.figure is None:
        return list(TABLES), list(FIGURES)
    return [*dict.fromkeys(options.table or [])], [*dict.fromkeys(options.figure or [])]


def _table(number: int, problem: Problem, options: argparse.Namespace) -> Sheet:
    from tf_ganmex.reproduce import tables
    from tf_ganmex.reproduce.roar_columns import RoarColumns

    if number == 2:
        return tables.table_2(problem)
    if number == 4:
        return tables.table_4(problem)
    scale = _roar_scale(options, problem)
    tables.measured_maps(problem)  # before the slower part
    roar = None if scale is None else RoarColumns(problem, scale)
    if roar is not None:
        roar.run()
    return tables.table_3(problem, roar)


def _roar_scale(options: argparse.Namespace, problem: Problem) -> Scale | None:
    from tf_ganmex.reproduce.roar_columns import Scale

    images = options.roar_images
    if images is None:
        images = "all" if problem.name == "mnist" and options.limit is None else 0
    if images == 0:
        return None
    return Scale(
        pairs=options.roar_pairs,
        images=None if images == "all" else images,
        repeats=options.roar_repeats,
        steps=options.roar_steps or options.steps,
    )


def _setup(options: argparse.Namespace) -> Setup:
    from tf_ganmex.reproduce.problem import Setup

    size = options.image_size
    if size is not None and len(size) > 2:
        raise OptionError(f"Expected one or two numbers for --image-size. Received: {size}.")
    name = _folder(options.dataset)
    return Setup(
        dataset=options.dataset,
        models=options.models or Path("saved_models") / name,
        keep=options.keep or _out(options) / "kept",
        data_dir=options.data_dir,
        image_size=(size[0], size[-1]) if size else None,
        classes=tuple(options.classes) if options.classes else None,
        limit=options.limit,
        steps=options.steps,
        monotonicity_images=options.monotonicity_images,
        monotonicity_draws=options.monotonicity_draws,
        stage_steps=options.stage_steps,
        stand_alone_steps=options.stand_alone_steps,
        scan_steps=options.scan_steps,
        seed=options.seed,
        jobs=options.jobs or _jobs(),
        command=_command(),
    )


def _jobs() -> int:
    """As many as there are cores, up to four; one with a graphics card."""
    import tensorflow as tf

    from tf_ganmex.processes import cores

    return 1 if tf.config.list_physical_devices("GPU") else min(cores(), 4)


def _command() -> str:
    """What was typed, without folders of this machine."""
    return shlex.join(["ganmex", *(Path(word).name if Path(word).is_absolute() else word for word in sys.argv[1:])])


def _out(options: argparse.Namespace) -> Path:
    return options.out or Path("reproduced") / _folder(options.dataset)


def _folder(dataset: str) -> str:
    """The name of a dataset, or of its file."""
    return Path(dataset).stem if Path(dataset).suffix or "/" in dataset else dataset


def _count(text: str) -> int | str:
    """An argument type: a number of images, none, or all."""
    if text not in ("all", "0") and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a number, 0 or all, not {text}")
    return text if text == "all" else int(text)
