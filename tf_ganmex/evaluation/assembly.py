"""Makes the table of an evaluation out of the arrays of its cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tf_ganmex import metrics
from tf_ganmex.datasets import Dataset
from tf_ganmex.evaluation.cells import Arrays
from tf_ganmex.evaluation.measures import FID, RUN_TIME
from tf_ganmex.evaluation.notes import find_notes
from tf_ganmex.evaluation.plan import FEATURES, Plan
from tf_ganmex.evaluation.questions import Questions
from tf_ganmex.evaluation.table import REFERENCES, Curve, EvaluationTable, Key, Row
from tf_ganmex.evaluation.timing import PROCESSES, ROWS, SECONDS
from tf_ganmex.evaluation.work import CURVE, TIMING
from tf_ganmex.training import in_value_range

Cells = dict[tuple[str, ...], list[Arrays]]

SAME_CLASS, OTHER_CLASS = REFERENCES


def assemble(
    plan: Plan, cells: Cells, data: Dataset, settings: dict[str, Any], doubts: Sequence[str] = ()
) -> EvaluationTable:
    """Rows with their intervals, curves, and notes on how they came about.

    Args:
        plan: what was measured.
        cells: by (method, baseline), by ("", baseline), and by () for real images, the arrays of all blocks in order.
        data: the dataset.
        settings: what was asked for.
        doubts: what may be wrong with that.
    """
    chosen, asked = plan.chosen, plan.questions
    joined = {place: _joined(arrays) for place, arrays in cells.items()}
    of_maps = {(c.method, c.baseline): [*chosen.areas, *chosen.of_maps] for c in plan.columns}
    of_baselines = {("", source.name): [*chosen.of_baselines] for source in plan.sources}
    values: dict[Key, np.ndarray] = {
        (name, *place): joined[place][name] for place, names in (of_maps | of_baselines).items() for name in names
    }
    rows = [_row(key, array, asked) for key, array in values.items()]
    if "distance" in chosen.of_baselines:
        rows += _distances_of_classes(plan, data)
    if chosen.fid:
        rows += [_fid(source.name, joined[()][FEATURES], joined["", source.name][FEATURES]) for source in plan.sources]
    if chosen.run_time:
        rows += [_run_time((RUN_TIME, *place), cells[place]) for place in (*of_maps, *of_baselines)]
    return EvaluationTable(
        rows=tuple(_in_order(rows, settings["metrics"])),
        curves={place: _curve(cells[place], asked.images) for place in of_maps if chosen.areas},
        values=values,
        image=asked.image,
        origin=asked.origin,
        target=asked.target,
        settings=settings,
        notes=tuple(find_notes(plan, rows, settings, _processes(cells), doubts)),
    )


def _joined(cells: list[Arrays]) -> Arrays:
    names = cells[0].keys() - {CURVE, TIMING}
    return {name: np.concatenate([cell[name] for cell in cells]) for name in names}


def _row(key: Key, values: np.ndarray, questions: Questions) -> Row:
    """Over images: those of several questions enter with their mean; undefined are counted map by map."""
    per_image = questions.per_image(values)
    is_share = key[0] == "assigned" and np.isin(per_image, (0, 1)).all()
    interval = metrics.bootstrap_interval(per_image.astype(bool) if is_share else per_image)
    undefined = int(np.isnan(values).sum())
    return Row(*key, interval.mean, interval.low, interval.high, interval.count, undefined)


def _distances_of_classes(plan: Plan, data: Dataset) -> list[Row]:
    x, seed = in_value_range(data.x_test, plan.setting.clf.value_range), plan.setting.seed
    found = []
    for name, distance in ((SAME_CLASS, metrics.intra_class_distance), (OTHER_CLASS, metrics.inter_class_distance)):
        if name == OTHER_CLASS or np.unique(data.y_test, return_counts=True)[1].max() > 1:
            interval = metrics.bootstrap_interval(distance(x, data.y_test, seed=seed))
            found.append(Row("distance", "", name, interval.mean, interval.low, interval.high, interval.count))
    return found


def _fid(baseline: str, real: np.ndarray, features: np.ndarray) -> Row:
    sets = [array.reshape(len(array), 1, 1, -1) for array in (real, features)]
    distance = metrics.fid(sets[0], sets[1], lambda batch: batch.reshape(len(batch), -1)) if len(real) > 1 else np.nan
    return Row(FID, "", baseline, distance, count=len(features))


def _run_time(key: Key, cells: list[Arrays]) -> Row:
    timings = np.array([cell[TIMING] for cell in cells])
    rows = timings[:, ROWS].sum()
    return Row(*key, float(timings[:, SECONDS].sum() / rows), count=int(rows))


def _processes(cells: Cells) -> list[int]:
    """How many processes worked at the same time when anything was timed."""
    return sorted({int(cell[TIMING][PROCESSES]) for place in cells for cell in cells[place] if TIMING in cell})


def _curve(cells: list[Arrays], images: int) -> Curve:
    total, squares = np.sum([cell[CURVE] for cell in cells], 0)
    mean = total / images
    variance = np.maximum(squares / images - mean**2, 0) * images / max(images - 1, 1)
    return Curve(mean, np.sqrt(variance / images))


def _in_order(rows: list[Row], names: list[str]) -> list[Row]:
    """Maps before baselines, otherwise in the order in which the metrics were asked for."""
    return sorted(rows, key=lambda row: (row.method == "", names.index(row.metric)))
