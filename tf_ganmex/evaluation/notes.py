"""What a reader of an evaluation's numbers has to know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tf_ganmex.datasets import Dataset
from tf_ganmex.evaluation.measures import FID, RUN_TIME
from tf_ganmex.evaluation.plan import Plan
from tf_ganmex.evaluation.questions import ALL, RANDOM, Questions
from tf_ganmex.evaluation.sources import Source
from tf_ganmex.evaluation.table import REFERENCES, Row


def find_doubts(sources: Sequence[Source], questions: Questions, data: Dataset) -> list[str]:
    """Where the question may be wrong, whatever the answer: told before anything is computed, and in the notes."""
    doubts = [
        f"The GANMEX of the baseline {source.name} was trained for another classifier: its images explain that one."
        for source in sources
        if source.of_another
    ]
    starts = questions.starts
    kept_wrong = questions.origin[starts] != data.y_test[questions.image[starts]]
    wrong = questions.misclassified + int(kept_wrong.sum())
    if wrong > questions.drawn / 2:
        doubts.append(
            f"{wrong} of {questions.drawn} images drawn are classified otherwise than labelled: do the labels, the "
            "order of the classes and the value range fit? See ganmex test-classifier."
        )
    return doubts


def find_notes(
    plan: Plan, rows: Sequence[Row], settings: dict[str, Any], processes: Sequence[int], doubts: Sequence[str]
) -> list[str]:
    """One a line.

    Args:
        plan: what was measured.
        rows: the numbers.
        settings: what was asked for.
        processes: how many worked at the same time when anything was timed.
        doubts: of :func:`find_doubts`.
    """
    asked, metric_names = plan.questions, {row.metric for row in rows}
    target = {RANDOM: "a random other class for each", ALL: "every other class, averaged for each image"}
    left_out = [] if settings["keep_misclassified"] else [f"{asked.misclassified} of them mis-classified and left out"]
    left_out += [f"{asked.of_target} of the target class and left out"] if asked.of_target else []
    drawn = f"{asked.drawn} of {settings['test_images']} test images of {settings['data']} drawn"
    notes = [
        f"{', '.join([drawn, *left_out])}; seed {settings['seed']}. Origin: the predicted class; target: "
        + f"{target.get(settings['targets'], settings['targets'])}. Score: {settings['score']}.",
        *doubts,
        "In brackets, or as ± half of their width: 95 % bootstrap intervals of the mean over images.",
    ]
    steps = {f"{name}: {options['steps']}" for name, options in settings["methods"].items() if "steps" in options}
    if steps and plan.chosen.measures_maps:
        notes.append(f"Steps of {', '.join(sorted(steps))}.")
    if "monotonicity" in metric_names:
        count = min(settings["monotonicity_images"] or asked.images, asked.images)
        notes.append(f"monotonicity: on {count} of these images; {settings['monotonicity_draws']} draws a feature.")
    if plan.regions is not None:
        notes.append(f"inverse_localization: the attribution is expected in {plan.regions.where}.")
    if "edge_distance" in metric_names:
        notes.append(f"edge_distance: of the vertical edge strips of {settings['edge_width']} pixels.")
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


def _undefined(rows: Sequence[Row]) -> list[str]:
    """How many maps a metric says nothing of; once for all columns where it is the same for all."""
    counts: dict[str, dict[str, int]] = {}
    for row in rows:
        counts.setdefault(row.metric, {})[f"{row.method} × {row.baseline}"] = row.undefined
    told = []
    for metric, by_column in counts.items():
        if len(set(by_column.values())) == 1 and len(by_column) > 1 and any(by_column.values()):
            told.append(f"{metric} {next(iter(by_column.values()))} of each column")
        else:
            told += [f"{metric} {count} of {column}" for column, count in by_column.items() if count]
    return [f"Not defined, and left out of the mean, for so many maps: {'; '.join(told)}."] if told else []
