"""From a classifier, data and options to an evaluation that can be run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tf_ganmex import metrics
from tf_ganmex.classifier import Classifier
from tf_ganmex.classifier.classifier import OpaqueFunction
from tf_ganmex.datasets import Dataset
from tf_ganmex.errors import DatasetError, ModelError
from tf_ganmex.evaluation.assembly import assemble
from tf_ganmex.evaluation.cells import Arrays
from tf_ganmex.evaluation.columns import SAMPLES, Column, find_columns
from tf_ganmex.evaluation.measures import Setting, choose
from tf_ganmex.evaluation.notes import find_doubts
from tf_ganmex.evaluation.options import Options
from tf_ganmex.evaluation.plan import Plan
from tf_ganmex.evaluation.questions import ask
from tf_ganmex.evaluation.regions import Regions
from tf_ganmex.evaluation.sources import TrainingImages, find_sources
from tf_ganmex.evaluation.table import EvaluationTable
from tf_ganmex.evaluation.timing import Clock, Reporter
from tf_ganmex.evaluation.work import works_of

Report = Callable[[str, int], None]


class Evaluation:
    """An evaluation that is ready to run, whole or in parts."""

    def __init__(self, plan: Plan, data: Dataset, settings: dict[str, Any], doubts: Sequence[str] = ()):
        self.plan = plan
        self.data = data
        self.settings = settings
        self.doubts = tuple(doubts)
        self.finished: dict[int, dict[tuple[str, ...], Arrays]] = {}

    @property
    def keeps(self) -> bool:
        """Whether what is computed is kept on disk."""
        return self.plan.folder is not None

    def unfinished(self) -> list[int]:
        """The blocks of which something has to be computed."""
        plan = self.plan
        blocks = ((index, works_of(plan, plan.block(index))) for index in range(len(plan.slices)))
        return [index for index, works in blocks if not all(work.finished for work in works)]

    def amount(self, blocks: Iterable[int]) -> int:
        """What :meth:`compute` reports in all when it computes these blocks."""
        rows = sum(self.plan.slices[index].stop - self.plan.slices[index].start for index in blocks)
        return rows * (len(self.plan.columns) + len(self.plan.sources))

    def run(self, *, shown: bool = False) -> None:
        """Computes all that is missing, in this process."""
        blocks = range(len(self.plan.slices))
        with Reporter(self.amount(blocks), shown=shown) as reporter:
            self.compute(blocks, reporter)

    def compute(self, blocks: Iterable[int], report: Report) -> None:
        """Computes what is missing of some blocks, one after the other.

        Args:
            blocks: which.
            report: told what is being computed, and with ``""`` how many rows of a cell are done.
        """
        for index in blocks:
            block = self.plan.block(index)
            self.finished[index] = {}
            for work in works_of(self.plan, block):
                report(work.name, 0)
                self.finished[index][work.place] = work.complete(_reporter(work.name, report))
                report("", len(block.part) if work.place else 0)

    def table(self) -> EvaluationTable:
        """The table of all blocks, which have been computed."""
        blocks = [self.finished[index] for index in range(len(self.plan.slices))]
        cells = {place: [block[place] for block in blocks] for place in blocks[0]}
        return assemble(self.plan, cells, self.data, self.settings, self.doubts)


def _reporter(name: str, report: Report) -> Callable[[str], None]:
    return lambda doing: report(f"{name}: {doing}", 0)


def prepare(clf: Classifier, data: Dataset, options: Options, *, processes: int = 1) -> Evaluation:
    """Chooses images, baselines and columns, and checks that everything fits, before anything is computed.

    Args:
        clf: the classifier.
        data: its dataset.
        options: see :func:`tf_ganmex.evaluate`.
        processes: how many compute at the same time, for the notes on run time.

    Raises:
        GanmexError: as :func:`tf_ganmex.evaluate`.
    """
    if not isinstance(clf, Classifier):
        raise ModelError(
            f"Expected a classifier from load_classifier. Received: clf of type {type(clf).__name__}. "
            "Pass gx.load_classifier(model)."
        )
    if not isinstance(data, Dataset):
        raise DatasetError(
            f"Expected data from load_dataset. Received: data of type {type(data).__name__}. "
            "Pass gx.load_dataset(name), or a gx.Dataset of your arrays."
        )
    chosen = choose(options.metrics)
    regions = None
    if "inverse_localization" in chosen.of_maps:
        regions = Regions(data, options.relevant, options.edge_width)
    questions = ask(clf, data, options)
    training = TrainingImages(clf, data, options.seed)
    sources = find_sources(clf, questions, training, options)
    columns = find_columns(sources, options)
    if chosen.fid or any(source.of_training for source in sources) or any(c.baseline == SAMPLES for c in columns):
        training.check_targets(questions.target)
    traced = not isinstance(clf.engine, OpaqueFunction)  # otherwise nothing tells it from other classifiers
    plan = Plan(
        questions=questions,
        block_size=options.block_size,
        columns=columns if chosen.measures_maps else [],
        sources=sources if chosen.measures_baselines else [],
        training=training,
        chosen=chosen,
        setting=_setting(clf, options, chosen.flips(questions.pixels[0].size)),
        regions=regions,
        features=(options.features or metrics.penultimate_features(clf)) if chosen.fid else None,
        folder=Path(options.folder) if options.folder is not None and traced else None,
        keep_maps=options.keep_maps,
        drawn=questions.rows_of_first(options.monotonicity_images or questions.images),
        clock=Clock(warm_up=chosen.run_time, processes=processes),
    )
    settings = _settings(options, plan, data, [source.name for source in sources])
    return Evaluation(plan, data, settings, find_doubts(sources, questions, data))


def _setting(clf: Classifier, options: Options, flips: int) -> Setting:
    return Setting(
        clf=clf,
        score=options.score,
        seed=options.seed,
        draws=options.monotonicity_draws,
        edge_width=options.edge_width,
        flips=flips,
    )


def _settings(options: Options, plan: Plan, data: Dataset, baselines: list[str]) -> dict[str, Any]:
    """What was asked for, as JSON knows it."""
    same = ("limit", "keep_misclassified", "score", "monotonicity_images", "monotonicity_draws", "edge_width", "seed")
    return {
        "data": data.name,
        "test_images": len(data.x_test),
        "metrics": list(options.metrics),
        "methods": {column.method: _method(column) for column in plan.columns},
        "baselines": baselines,
        "targets": str(options.targets),
        "features": "of the classifier's last layer" if options.features is None else "of a given network",
        **{name: getattr(options, name) for name in same},
    }


def _method(column: Column) -> dict[str, Any]:
    own = {} if column.method == column.function else {"method": column.function}
    return own | _plain(column.options)


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as JSON knows them."""
    return {name: v if isinstance(v, str | int | float | None) else str(v) for name, v in options.items()}
