"""Tables 2, 3 and 4 of the GANMEX paper, ours beside the published numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from tf_ganmex import metrics
from tf_ganmex.errors import OptionError
from tf_ganmex.evaluation import EvaluationTable, Row
from tf_ganmex.evaluation.table import REFERENCES
from tf_ganmex.reproduce.claims import CLAIMS, FAILS, HOLDS, Key, judge
from tf_ganmex.reproduce.grid import measured
from tf_ganmex.reproduce.problem import Problem, setup_notes
from tf_ganmex.reproduce.published import (
    BASELINES,
    COLUMNS,
    COMPLETE,
    DATASETS,
    METHODS,
    OURS,
    TABLE_2,
    TABLE_3,
    TABLE_4,
    Place,
    label,
)
from tf_ganmex.reproduce.roar_columns import RoarColumns
from tf_ganmex.reproduce.sheet import Number, Sheet

_COMPARED = ("ganmex", "nearest", "random_sample", "zero")
_OF_MAPS = ("aopc_100", "aopc_all", "gini", "gini_shifted", "faithfulness", "monotonicity")
_ROAR_ROWS = {"aoroarc": "AORoarC, signed order", "aoroarc_abs": "AORoarC, order by |A|"}
_TIMED = 256  # images
_SAME_ORDER = 10

Numbers = dict[Key, Any]


def table_2(problem: Problem) -> Sheet:
    """Distances between images and their baselines."""
    of_edges = problem.name == "svhn_cropped"
    wanted = ("distance", "assigned", *(["edge_distance"] if of_edges else []))
    found = measured(problem, wanted, baselines=_COMPARED)
    published = {("distance", ("", name)): value for name, value in TABLE_2.get(problem.name, {}).items()}
    rows = {(row.metric, row.baseline): row for row in found.rows}
    numbers = [
        Number.of(metric, label(("", name)), rows[metric, name], published.get((metric, ("", name))))
        for metric in wanted
        for name in (*REFERENCES, *_COMPARED)
        if (metric, name) in rows
    ]
    references = {("distance", ("", row.baseline)): row.mean for row in found.rows if row.baseline in REFERENCES}
    notes = [*setup_notes(problem), *found.notes]
    notes.append("assigned: the share of baselines that the classifier calls the target; not in the paper.")
    return Sheet(
        _title(problem, 2, "distances between images and baselines (L2)"),
        "metric",
        tuple(numbers),
        tuple(notes),
        _claims(2, _values(found, wanted) | references, published),
    )


def table_3(problem: Problem, roar: RoarColumns | None = None) -> Sheet:
    """Metrics of the maps of all columns.

    Args:
        problem: what is explained.
        roar: the areas over the ROAR curves; None leaves them out.
    """
    found = measured_maps(problem)
    wanted = list(dict.fromkeys(row.metric for row in found.rows if row.method))
    published = TABLE_3.get(problem.name, {})
    numbers = [
        Number.of(metric, label(place), found[metric, *place], published.get((metric, place)))
        for metric in wanted
        for place in (*COLUMNS, *OURS)
    ]
    ours = _values(found, wanted)
    notes = [*setup_notes(problem), *found.notes, *_NOTES_3]
    if roar is not None:
        for metric, title in _ROAR_ROWS.items():
            areas = {place: roar.areas(metric, place) for place in COLUMNS}
            for place, array in areas.items():
                row = Row.of((metric, *place), metrics.bootstrap_interval(array))
                numbers.append(Number.of(title, label(place), row, published.get((metric, place))))
            ours |= {(metric, place): array for place, array in areas.items()}
        random = float(roar.areas("aoroarc", roar.RANDOM).mean())
        numbers += [Number("AORoarC, random maps", label(place), random) for place in COLUMNS]
        notes += roar.notes()
    else:
        notes.append("AORoarC was not measured: see --roar-images.")
    return Sheet(
        _title(problem, 3, "metrics of the maps"), "metric", tuple(numbers), tuple(notes), _claims(3, ours, published)
    )


@lru_cache(maxsize=1)  # for Table 3 and the figures of the same numbers
def measured_maps(problem: Problem) -> EvaluationTable:
    """All metrics of maps that are possible on this dataset, with curves."""
    wanted, relevant = list(_OF_MAPS), None
    if int(np.prod(problem.data.image_shape)) < 100:
        raise OptionError(
            f"Expected images of 100 features or more, for aopc_100. Received: {problem.data.image_shape}. Take larger "
            "ones with --image-size."
        )
    if problem.name == "svhn_cropped":
        relevant = "edges"
    if relevant or problem.data.masks_test is not None:
        wanted.append("inverse_localization")
    return measured(problem, wanted, methods=(*METHODS, COMPLETE), relevant=relevant)


def table_4(problem: Problem) -> Sheet:
    """Run times."""
    setup = problem.setup
    limit = min(setup.limit or len(problem.data.x_test), _TIMED)
    found = measured(problem, ["run_time"], limit=limit, jobs=1, folder="timed")
    images = len(problem.data.x_test)
    published = TABLE_4.get(problem.name, {})
    per_image = {(row.method, row.baseline): row.mean for row in found.rows}
    rows: dict[Place, float] = {}
    for method in METHODS:
        times = [seconds for place, seconds in per_image.items() if place[0] == method]
        rows[method, ""] = float(np.mean(times))
    rows |= {("", name): per_image["", name] for name in BASELINES}
    numbers = []
    for place, seconds in rows.items():
        name = label(place) if place[0] else f"baseline {label(place)}"
        numbers.append(Number("seconds for the whole test set", name, seconds * images, published=published.get(place)))
    numbers += [
        Number("ms per image", n.column, (n.ours or 0) / images * 1000, published=_per_image(n, problem))
        for n in numbers
    ]
    notes = [*setup_notes(problem), *found.notes]
    notes.append(
        f"Timed on {len(found.image)} images in one process with all cores, without compilation, and multiplied up to "
        f"{images:,}; a method's time is the mean over its baselines. Paper: one Tesla V100, MDTS on its processor; "
        "their time of EG's baselines, an estimate, is part of the time of EG here."
    )
    if problem.name in DATASETS:
        notes.append(f"Training of GANMEX: {DATASETS[problem.name].hours} hours on the paper's card.")
    return Sheet(
        _title(problem, 4, "run times"),
        "time",
        tuple(numbers),
        tuple(notes),
        tuple(_time_claims(rows, published)),
        digits=2,
    )


def _per_image(number: Number, problem: Problem) -> float | None:
    if number.published is None:
        return None
    return number.published / DATASETS[problem.name].test_images * 1000


def _time_claims(ours: Mapping[Place, float], published: Mapping[Place, float]) -> list[str]:
    """Appendix E: making a GANMEX baseline takes time of the same order as IG and Occlusion; less is no failure."""
    ratios = {
        name: {method: times["", "ganmex"] / times[method, ""] for method in ("integrated_gradients", "occlusion")}
        for name, times in (("ours", ours), ("published", published))
        if times
    }
    told = [
        f"{name}: " + ", ".join(f"{ratio:.2f} of {label((method, ''))}" for method, ratio in of_methods.items())
        for name, of_methods in ratios.items()
    ]
    verdict = HOLDS if max(ratios["ours"].values()) <= _SAME_ORDER else FAILS
    return [
        "Making GANMEX baselines takes time of the same order as IG and Occlusion, that is, at most "
        f"{_SAME_ORDER} times theirs (appendix E): **{verdict}**. {'; '.join(told)}."
    ]


_NOTES_3 = (
    "Columns: MDTS is the training image of the target class nearest to the image; EG takes random training images "
    "of the target class. DeepLIFT has the rules of the published code (DeepExplain's: no rule for max pooling and "
    "softmax, whose float32 gradient is rounding where a probability is 1); DeepLIFT complete has ours, whose maps sum "
    "to the score delta, and is in no claim.",
    "The published sparsity stands beside both of our measures: the Gini index of |A| (gini), which fits the published "
    "numbers of IG and EG, and that of the signed map shifted to start at zero (gini_shifted), which fits those of "
    "DeepLIFT on MNIST. The others fit neither.",
    "Claims: a difference with its interval over images, paired by image; a claim is undecided where an interval "
    "has both signs.",
)


def _values(found: EvaluationTable, wanted: Sequence[str]) -> Numbers:
    return {(metric, (m, b)): values for (metric, m, b), values in found.values.items() if metric in wanted}


def _claims(table: int, ours: Numbers, published: Numbers) -> tuple[str, ...]:
    judged = (judge(claim, ours, published) for claim in CLAIMS if claim.table == table)
    return tuple(line for line in judged if line is not None)


def _title(problem: Problem, number: int, what: str) -> str:
    title = DATASETS[problem.name].title if problem.name in DATASETS else problem.name
    return f"Table {number}, {title}: {what}"
