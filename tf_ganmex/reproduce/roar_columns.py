"""ROAR for every column of Table 3: maps of training and test images of pairs of classes, and retrainings.

The accuracies of every column and pair are kept, so that its maps are made once. Until they are known, the maps are
kept too, block by block, and so is every retraining: an interrupted run goes on where it was.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from tf_ganmex import metrics
from tf_ganmex.attributions.problem import row_slices
from tf_ganmex.evaluation.cells import Arrays, Cells
from tf_ganmex.evaluation.columns import Column, find_columns
from tf_ganmex.evaluation.options import Options
from tf_ganmex.evaluation.questions import Questions
from tf_ganmex.evaluation.sources import TrainingImages, digest, find_sources
from tf_ganmex.evaluation.timing import Reporter
from tf_ganmex.metrics import Retrainer
from tf_ganmex.metrics.roar import FRACTIONS
from tf_ganmex.processes import Report, share
from tf_ganmex.reproduce.problem import Problem, Setup, open_problem
from tf_ganmex.reproduce.published import BASELINES, COLUMNS, METHOD_OPTIONS, METHODS, Place
from tf_ganmex.training import in_value_range

RANDOM: Place = ("random maps", "")
SIGNED, MAGNITUDE = "aoroarc", "aoroarc_abs"
_BLOCK = 256  # images
_FORMAT = 1

Split = tuple[np.ndarray, np.ndarray, np.ndarray]  # images, classes, the other classes


@dataclass(frozen=True)
class Scale:
    """How much is done.

    Attributes:
        pairs: how many of the disjoint pairs of classes; None: all.
        images: how many training images of a pair, and at most as many test images; None: all.
        repeats: retrainings of each.
        steps: of integrated and expected gradients.
        dtype: of the retrainings.
    """

    pairs: int | None = None
    images: int | None = None
    repeats: int = 3
    steps: int = 200
    dtype: str = "mixed_bfloat16"


class RoarColumns:
    """The areas over the ROAR curves of all columns, and of random maps.

    Args:
        problem: what is explained.
        scale: how much is done.
    """

    RANDOM = RANDOM

    def __init__(self, problem: Problem, scale: Scale | None = None):
        self.problem = problem
        self.scale = scale or Scale()
        self.folder = problem.setup.keep / "roar"
        self.results = Cells(self.folder)
        self.pairs = metrics.class_pairs(problem.clf.num_classes)[: self.scale.pairs]
        self.units = [(pair, place) for pair in self.pairs for place in (RANDOM, *COLUMNS)]

    def run(self) -> None:
        """Computes what is not on disk, with as many processes as the setup says."""
        missing = [index for index in range(len(self.units)) if not self._result(index)]
        jobs = max(1, min(self.problem.setup.jobs, len(missing)))
        with Reporter(len(missing), shown=bool(missing)) as reporter:
            if jobs > 1:
                setup = self.problem.setup
                share(partial(_compute, setup, self.scale), [missing[job::jobs] for job in range(jobs)], reporter)
            else:
                self.compute(missing, reporter)

    def compute(self, units: Iterable[int], report: Report) -> None:
        """Maps and retrainings of some units, one after the other."""
        for index in units:
            pair, place = self.units[index]
            name = f"ROAR {' '.join(place).strip()}, classes {pair[0]} and {pair[1]}"
            report(name, 0)
            key = self._key(index)
            splits = [self._split(pair, train=train) for train in (True, False)]
            folder = self.folder / "maps" / key
            if place == RANDOM:
                draws = np.random.default_rng([self.problem.setup.seed, *pair])
                maps = [draws.random(x.shape, np.float32) for x, _, _ in splits]
            else:
                maps = [self._maps(place, split, Cells(folder), str(n)) for n, split in enumerate(splits)]
            report(f"{name}: retraining", 0)
            found = {SIGNED: self._accuracies(splits, maps)}
            found[MAGNITUDE] = found[SIGNED] if place == RANDOM else self._accuracies(splits, [*map(np.abs, maps)])
            self.results.write(_label(pair, place), key, found)
            shutil.rmtree(folder, ignore_errors=True)
            report("", 1)

    def accuracies(self, metric: str, place: Place) -> np.ndarray:
        """(pairs, repeats, 1 + fractions) of a column by the signed order, or that of |A|, once they are computed."""
        indices = [index for index, (_, other) in enumerate(self.units) if other == place]
        return np.stack([self._result(index)[metric] for index in indices])

    def areas(self, metric: str, place: Place) -> np.ndarray:
        """The area over the ROAR curve of each pair, the mean over repeats (pairs,)."""
        return np.array(metrics.roar_area(self.accuracies(metric, place)).per_pair)

    def notes(self) -> list[str]:
        """What a reader of the areas has to know."""
        scale, images = self.scale, [len(self._split(pair, train=True)[0]) for pair in self.pairs]
        random = self.areas(SIGNED, RANDOM)
        return [
            f"AORoarC: {len(self.pairs)} disjoint pairs of classes ({', '.join(f'{a}/{b}' for a, b in self.pairs)}), "
            f"{min(images):,} to {max(images):,} training images a pair; fractions {', '.join(map(str, FRACTIONS))} of "
            f"the features replaced by the training mean; {scale.repeats} "
            f"retraining{'s' if scale.repeats > 1 else ''} each ({scale.dtype}); maps with "
            f"{scale.steps} steps. Intervals are over pairs.",
            f"Compare AORoarC with that of random maps, {random.mean():.3f}. The signed order removes what speaks for "
            "an image's own class, so that where features are missing tells the class, and retrained classifiers read "
            "that: expect areas below the published ones, whose order, fractions and filling are not described. "
            "Features removed in the order of |A| tell less.",
        ]

    def _result(self, index: int) -> Arrays:
        pair, place = self.units[index]
        return self.results.read(_label(pair, place), self._key(index))

    def _key(self, index: int) -> str:
        pair, place = self.units[index]
        setup, scale = self.problem.setup, self.scale
        same = (_FORMAT, self._images, FRACTIONS, scale.images, scale.dtype, self._trainings, setup.seed, pair)
        if place == RANDOM:
            return digest(*same, "random")
        column = self._columns[place]
        against = column.source.fingerprint if column.source else None
        return digest(*same, self.problem.clf.fingerprint, column.fingerprint(against, self._training))

    @cached_property
    def _images(self) -> str:
        data = self.problem.data
        return digest(self._training.fingerprint, data.x_test, data.y_test)

    @cached_property
    def _trainings(self) -> list[str]:
        """What all retrainings follow from."""
        return [self._retrainer.fingerprint(seed) for seed in range(self.scale.repeats)]

    @cached_property
    def _training(self) -> TrainingImages:
        return TrainingImages(self.problem.clf, self.problem.data, self.problem.setup.seed)

    @cached_property
    def _retrainer(self) -> Retrainer:
        return Retrainer(self.problem.data.image_shape, dtype=self.scale.dtype)

    @cached_property
    def _columns(self) -> dict[Place, Column]:
        problem = self.problem
        options = Options(
            ganmex=problem.ganmex,
            methods=METHODS,
            method_options=METHOD_OPTIONS,
            baselines=BASELINES,
            steps=self.scale.steps,
            seed=problem.setup.seed,
        )
        asked = _questions(self._split(self.pairs[0], train=False))
        columns = find_columns(find_sources(problem.clf, asked, self._training, options), options)
        return {(column.method, column.baseline): column for column in columns}

    def _split(self, pair: tuple[int, int], *, train: bool) -> Split:
        """Images of two classes in a random order, the first of which are taken where not all are."""
        data, clf = self.problem.data, self.problem.clf
        x, y = (self._training.images, data.y_train) if train else (data.x_test, data.y_test)
        images, labels, others = metrics.one_pair(x, y, pair)
        rows = np.random.default_rng([self.problem.setup.seed, *pair, train]).permutation(len(images))
        rows = np.sort(rows[: self.scale.images])
        images = images[rows] if train else in_value_range(images[rows], clf.value_range)
        return images, labels[rows], others[rows]

    def _maps(self, place: Place, split: Split, kept: Cells, name: str) -> np.ndarray:
        x = split[0]
        maps = np.empty(x.shape, np.float32)
        column, questions = self._columns[place], _questions(split)
        for rows in row_slices(len(x), _BLOCK):
            label = f"{name}-{rows.start}"
            block = kept.read(label, "maps").get("maps")
            if block is None:
                part = questions[rows]
                baselines = None if column.source is None else np.asarray(column.source.make(part.x, part.target))
                block = column.maps(self.problem.clf, part, baselines, self._training)
                kept.write(label, "maps", {"maps": block})
            maps[rows] = block
        return maps

    def _accuracies(self, splits: list[Split], maps: list[np.ndarray]) -> np.ndarray:
        train, test = ((x, y, found) for (x, y, _), found in zip(splits, maps, strict=True))
        return metrics.roar(
            train, test, retrainer=self._retrainer, repeats=self.scale.repeats, directory=self.folder / "retrainings"
        )


def _compute(setup: Setup, scale: Scale, units: list[int], report: Report) -> None:
    """What each of several processes does."""
    RoarColumns(open_problem(replace(setup, jobs=1)), scale).compute(units, report)


def _questions(split: Split) -> Questions:
    x, origin, target = split
    rows = np.arange(len(x))
    return Questions(x, rows, origin, target, rows, 0, 0)


def _label(pair: tuple[int, int], place: Place) -> str:
    return "-".join([*filter(None, place), *map(str, pair)])
