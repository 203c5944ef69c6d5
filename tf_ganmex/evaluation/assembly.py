"""Makes the table of an evaluation out of the arrays of its cells."""

from __future__ import annotations

from typing import Any

import numpy as np

from tf_ganmex import metrics
from tf_ganmex.datasets import Dataset
from tf_ganmex.evaluation.cells import Arrays
from tf_ganmex.evaluation.measures import FID, RUN_TIME
from tf_ganmex.evaluation.plan import FEATURES, Plan
from tf_ganmex.evaluation.questions import ALL, RANDOM, Questions
from tf_ganmex.evaluation.table import REFERENCES, Curve, EvaluationTable, Key, Row
from tf_ganmex.evaluation.timing import PROCESSES, ROWS, SECONDS
from tf_ganmex.evaluation.work import CURVE, TIMING
from tf_ganmex.training import in_value_range

Cells = dict[tuple[str, ...], list[Arrays]]

SAME_CLASS, OTHER_CLASS = REFERENCES


def assemble(plan: Plan, cells: Cells, data: Dataset, settings: dict[str, Any]) -> EvaluationTable:
    """Rows with their intervals, curves, and notes on how they came about.

    Args:
        plan: what was measured.
        cells: by (method, baseline), by ("", baseline), and by () for real images, the arrays of all blocks in order.
        data: the dataset.
        settings: what was asked for.
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
        notes=tuple(_notes(plan, rows, settings, _processes(cells))),
    )


def _joined(cells: list[Arrays]) -> Arrays:
    names = cells[0].keys() - {CURVE, TIMING}
    return {name: np.concatenate([cell[name] for cell in cells]) for name in names}


def _row(key: Key, values: np.ndarray, questions: Questions) -> Row:
    """Over images: those of several questions enter with their mean; undefined are counted map by map."""
    interval = metrics.bootstrap_interval(questions.per_image(values))
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


def _notes(plan: Plan, rows: list[Row], settings: dict[str, Any], processes: list[int]) -> list[str]:
    asked, metric_names = plan.questions, {row.metric for row in rows}
    target = {RANDOM: "a random other class for each", ALL: "every other class, averaged for each image"}
    left_out = [f"{asked.misclassified} mis-classified left out"] if not settings["keep_misclassified"] else []
    left_out += [f"{asked.of_target} of the target class left out"] if asked.of_target else []
    notes = [
        f"{asked.images} of {settings['test_images']} test images of {settings['data']}"
        + (f" ({', '.join(left_out)})" if left_out else "")
        + f"; seed {settings['seed']}. Origin: the predicted class; target: "
        + f"{target.get(settings['targets'], settings['targets'])}. Score: {settings['score']}.",
        "In brackets, or as ± half of their width: 95 % bootstrap intervals of the mean over images.",
    ]
    steps = {f"{name}: {options['steps']}" for name, options in settings["methods"].items() if "steps" in options}
    if steps and plan.chosen.measures_maps:
        notes.append(f"Steps of {', '.join(sorted(steps))}.")
    if "monotonicity" in metric_names:
        count = min(settings["monotonicity_images"] or asked.images, asked.images)
        notes.append(f"monotonicity: on {count} of these images; {settings['monotonicity_draws']} draws a feature.")
    if any(row.baseline in REFERENCES for row in rows):
        same, other = REFERENCES
        notes.append(f"{same}, {other}: distances of random pairs of test images of the same, of different classes.")
    if FID in metric_names:
        notes.append(
            f"fid: Fréchet distance in features {settings['features']} to as many random training images of the "
            f"target classes, {len(asked)}; compare with those of as many images only."
        )
    if RUN_TIME in metric_names:
        notes.append(
            "run_time: without compilation, and for maps without that of their baselines; "
            f"{' or '.join(map(str, processes))} process{'es' * (processes != [1])} at the same time."
        )
    return notes + _undefined(rows)


def _undefined(rows: list[Row]) -> list[str]:
    found: dict[str, list[str]] = {}
    for row in rows:
        if row.undefined:
            found.setdefault(f"{row.method} × {row.baseline}", []).append(f"{row.metric} {row.undefined}")
    counts = "; ".join(f"{column}: {', '.join(names)}" for column, names in found.items())
    return [f"Not defined, and left out of the mean, for so many maps: {counts}."] if counts else []
