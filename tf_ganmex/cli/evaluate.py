"""Measure attribution methods and baselines on test images, as the GANMEX paper does."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_ganmex import __version__
from tf_ganmex.cli.common import (
    add_classifier_options,
    add_dataset_options,
    import_tensorflow,
    positive,
    read_classifier,
    read_dataset,
    say,
)
from tf_ganmex.errors import GanmexError, OptionError
from tf_ganmex.files import check_folder
from tf_ganmex.processes import Report, cores, share

if TYPE_CHECKING:
    from tf_ganmex.classifier import Classifier
    from tf_ganmex.evaluation.preparation import Evaluation

EXAMPLES = """examples:
  ganmex evaluate digits.keras digits --ganmex digits_ganmex/ --limit 100
  ganmex evaluate mnist.keras mnist --data-dir ~/data --ganmex mnist_ganmex/ --limit all --out mnist_evaluation \\
      --metrics aopc_100 aopc_all gini faithfulness monotonicity distance assigned fid run_time
  ganmex evaluate svhn.keras svhn_cropped --baselines zero nearest --methods integrated_gradients deeplift \\
      --metrics inverse_localization edge_distance --relevant edges --edge-width 5
  ganmex evaluate savedmodel/ photos.npz --methods occlusion --baselines zero other_ganmex/ --targets all

Writes table.md, .csv, .json and plots into --out. What was computed is kept in --out: the same command with other
metrics, methods, baselines or a larger --limit computes only what is missing, also after an interruption.
"""
METHODS = ("integrated_gradients", "expected_gradients", "deeplift", "deepshap", "occlusion", "gradient")
DEFAULT_METHODS = ("integrated_gradients", "expected_gradients", "deeplift", "occlusion")
BASELINES = ("zero", "maximum", "blurred", "nearest", "random_sample", "ganmex")
METRICS_OF_MAPS = ("aopc_L", "aopc_all", "gini", "gini_shifted", "faithfulness", "monotonicity", "inverse_localization")
METRICS_OF_BASELINES = ("distance", "edge_distance", "assigned", "fid")
DEFAULT_METRICS = ("aopc_100", "aopc_all", "gini", "faithfulness", "distance", "assigned", "run_time")
RULES = ("midpoint", "right", "trapezoid", "gauss-legendre")
RULE_SETS = ("complete", "deepexplain")
DEFAULT_LIMIT = 1000
MOST_JOBS = 4  # unless asked for: each holds TensorFlow and the dataset


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("model", help="a .keras or .h5 file or a SavedModel directory")
    parser.add_argument("dataset", help="a name (digits, mnist, ...), or an .npz, image folder, zip or tar")
    parser.add_argument("--out", type=Path, default=Path("evaluation"), metavar="DIR",
                        help="where tables, plots and what was computed go (default: evaluation)")  # fmt: skip
    parser.add_argument("--ganmex", type=Path, metavar="DIR", help="the GANMEX of the baseline ganmex")
    parser.add_argument("--methods", nargs="+", default=list(DEFAULT_METHODS), choices=METHODS, metavar="M",
                        help=f"{', '.join(METHODS)} (default: {', '.join(DEFAULT_METHODS)})")  # fmt: skip
    parser.add_argument("--baselines", nargs="+", metavar="B",
                        help=f"{', '.join(BASELINES)}, or other GANMEX directories (default: zero, nearest, and "
                        "ganmex if given); expected_gradients takes training images of the target class")  # fmt: skip
    parser.add_argument("--metrics", nargs="+", default=list(DEFAULT_METRICS), metavar="METRIC",
                        help=f"of maps: {', '.join(METRICS_OF_MAPS)}; of baselines: {', '.join(METRICS_OF_BASELINES)}; "
                        f"of both: run_time (default: {', '.join(DEFAULT_METRICS)})")  # fmt: skip
    parser.add_argument("--jobs", type=positive, metavar="N",
                        help=f"processes (default: one a core, up to {MOST_JOBS}; one with a GPU)")  # fmt: skip
    parser.add_argument("--class-names", nargs="+", metavar="NAME", help="of the model's outputs, in their order")
    _add_images(parser.add_argument_group("images and targets"))
    _add_details(parser.add_argument_group("details of methods and metrics"))
    add_dataset_options(parser)
    add_classifier_options(parser)


def _add_images(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--limit", type=_limit, default=DEFAULT_LIMIT, metavar="N",
                       help=f"test images, in a random order by --seed, or all (default: {DEFAULT_LIMIT})")  # fmt: skip
    group.add_argument("--targets", default="random", metavar="random|all|CLASS",
                       help="a random other class for each, every other class, or one (default: random)")  # fmt: skip
    group.add_argument("--keep-misclassified", action="store_true",
                       help="explain images that the model gets wrong too (default: leave them out)")  # fmt: skip
    group.add_argument("--seed", type=int, default=0,
                       help="of the images' order, targets, samples and draws (default: 0)")  # fmt: skip


def _add_details(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--score", default="probability", choices=["probability", "logit"], help="(default: probability)"
    )
    group.add_argument("--steps", type=positive, default=200,
                       help="of integrated and expected gradients (default: 200)")  # fmt: skip
    group.add_argument("--rule", choices=RULES, metavar="R", help=f"of integrated_gradients: {', '.join(RULES)}")
    group.add_argument("--rules", choices=RULE_SETS, metavar="R", help=f"of deeplift: {' or '.join(RULE_SETS)}")
    group.add_argument("--window", type=positive, help="of occlusion, in pixels")
    group.add_argument("--monotonicity-images", type=_limit, default=1000, metavar="N",
                       help="images that monotonicity is measured on, or all (default: 1000)")  # fmt: skip
    group.add_argument("--monotonicity-draws", type=positive, default=100, metavar="N",
                       help="values drawn for each feature (default: 100)")  # fmt: skip
    group.add_argument("--relevant", metavar="edges|FILE",
                       help="where inverse_localization expects the attribution: inside the vertical edge strips, or a "
                       ".npy of booleans (h, w) or (test images, h, w) (default: the dataset's masks)")  # fmt: skip
    group.add_argument("--edge-width", type=positive, default=5, metavar="PIXELS",
                       help="of the edge strips (default: 5)")  # fmt: skip
    group.add_argument("--keep-maps", action="store_true", help="keep the maps too, for metrics asked for later")


def run(options: argparse.Namespace) -> None:
    """Evaluates, writes, and prints the table."""
    check_folder(options.out, "--out")  # before TensorFlow is loaded; the evaluation looks again
    import_tensorflow()
    try:
        _evaluate(options)
    except GanmexError as error:
        error.args = (_as_options(str(error), options),)
        raise


def _evaluate(options: argparse.Namespace) -> None:
    from tf_ganmex.evaluation.timing import Reporter

    evaluation = _prepare(options)
    for doubt in evaluation.doubts:
        say(f"note: {doubt}")
    plan, blocks = evaluation.plan, evaluation.unfinished()
    say(
        f"{plan.questions.images} test images, {len(plan.columns)} columns: "
        f"{len(blocks)} of {len(plan.slices)} blocks to compute"
    )
    jobs = min(options.jobs or _default_jobs(), len(blocks)) if evaluation.keeps else 1
    with Reporter(evaluation.amount(blocks), shown=bool(blocks)) as reporter:
        if jobs > 1:
            share(partial(_compute, options, jobs), [blocks[job::jobs] for job in range(jobs)], reporter)
        else:
            evaluation.compute(blocks, reporter)
    evaluation.run()  # reads what was computed
    table = evaluation.table()
    table = replace(table, notes=(*table.notes, *_provenance()))
    table.show()
    print(*table.save(options.out), sep="\n")


def _as_options(message: str, options: argparse.Namespace) -> str:
    """``message`` with arguments as they are typed: ``--keep-misclassified`` for ``keep_misclassified=True``."""

    def typed(found: re.Match[str]) -> str:
        value = found[2].strip("'")
        return f"--{found[1].replace('_', '-')}" + ("" if value == "True" else f" {value}")

    names = "|".join(vars(options).keys() - {"command", "model", "dataset"})
    return re.sub(rf"\b({names})=('[^']*'|-?\w+)", typed, message)


def _provenance() -> list[str]:
    """What was typed, without folders of this machine, and with what it ran."""
    import tensorflow as tf

    from tf_ganmex._backend import keras

    words = [Path(word).name if Path(word).is_absolute() else word for word in sys.argv[1:]]
    return [
        f"Command: {shlex.join(['ganmex', *words])}",
        f"tf-ganmex {__version__}, TensorFlow {tf.__version__}, Keras {keras.__version__}.",
    ]


def _compute(options: argparse.Namespace, jobs: int, blocks: list[int], report: Report) -> None:
    """What each of several processes does."""
    _prepare(options, processes=jobs).compute(blocks, report)


def _default_jobs() -> int:
    """As many as there are cores, for more than one thread each is of little use; one with a graphics card."""
    import tensorflow as tf

    return 1 if tf.config.list_physical_devices("GPU") else min(cores(), MOST_JOBS)


def _prepare(options: argparse.Namespace, *, processes: int = 1) -> Evaluation:
    from tf_ganmex.evaluation.options import Options
    from tf_ganmex.evaluation.preparation import prepare

    data = read_dataset(options, options.dataset)
    clf = read_classifier(options, options.class_names, data.class_names)
    asked = Options(
        ganmex=_load_ganmex(options.ganmex, clf) if options.ganmex else None,
        methods=options.methods,
        baselines=_baselines(options, clf),
        metrics=options.metrics,
        limit=options.limit,
        targets=options.targets,
        keep_misclassified=options.keep_misclassified,
        score=options.score,
        steps=options.steps,
        method_options=_method_options(options),
        monotonicity_images=options.monotonicity_images,
        monotonicity_draws=options.monotonicity_draws,
        relevant=options.relevant,
        edge_width=options.edge_width,
        seed=options.seed,
        folder=options.out,
        keep_maps=options.keep_maps,
    )
    return prepare(clf, data, asked, processes=processes)


def _limit(text: str) -> int | None:
    """An argument type: a number of images, or all."""
    if text == "all":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected an integer of at least 1, or all, not {text}")
    return int(text)


def _load_ganmex(path: Path, clf: Classifier) -> Any:
    """With the facts of the classifier that it was trained for, which the evaluation looks at, where it has them."""
    from tf_ganmex.gan import load_ganmex
    from tf_ganmex.gan.persistence import CONFIG_NAME

    return load_ganmex(path, None if (path / CONFIG_NAME).is_file() else clf)


def _baselines(options: argparse.Namespace, clf: Classifier) -> dict[str, Any] | None:
    """The baselines by name; directories are loaded, and called by the end of their path."""
    if options.baselines is None:
        return None
    found: dict[str, Any] = {}
    for word in options.baselines:
        if word in BASELINES:
            found[word] = word
        elif Path(word).is_dir():
            name = Path(word).name if Path(word).name not in found else word
            found[name] = _load_ganmex(Path(word), clf)
        else:
            raise OptionError(
                f"Expected --baselines among {', '.join(BASELINES)}, or a GANMEX directory. Received: {word!r}."
            )
    if "ganmex" in options.baselines and not options.ganmex:
        raise OptionError("Expected --ganmex DIR for the baseline ganmex. Received: none. Name its directory.")
    return found


def _method_options(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    given = {
        "integrated_gradients": {"rule": options.rule},
        "deeplift": {"rules": options.rules},
        "occlusion": {"window": options.window},
    }
    return {
        method: {name: value for name, value in mine.items() if value is not None}
        for method, mine in given.items()
        if method in options.methods
    }
