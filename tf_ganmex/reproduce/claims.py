"""What the text of the GANMEX paper claims about its tables, as data, and whether numbers bear it out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tf_ganmex import metrics
from tf_ganmex.metrics import Interval
from tf_ganmex.reproduce.published import COLUMNS, ROAR, Place, column, label

Key = tuple[str, Place]  # metric, column
Values = Mapping[Key, np.ndarray | float]  # a number for each image (n,), or a mean alone

HOLDS, UNDECIDED, FAILS = "holds", "undecided", "does not hold"
LOWER_IS_BETTER = ("inverse_localization", "distance", "edge_distance", "run_time")
_SHOWN = 3  # comparisons of a claim, one by one
_IG, _DEEPLIFT, _OCCLUSION = (
    [column(f"{method} {baseline}") for baseline in ("zero", "MDTS", "GANMEX")]
    for method in ("IG", "DeepLIFT", "Occlusion")
)
_EG = column("EG")


@dataclass(frozen=True)
class Comparison:
    """That a column, or several on average, are better than others in a metric."""

    metric: str
    better: tuple[Place, ...]
    worse: tuple[Place, ...]


@dataclass(frozen=True)
class Claim:
    """A sentence of the paper.

    Attributes:
        table: the table that it is about.
        text: what it says.
        source: where.
        comparisons: what all has to be so.
    """

    table: int
    text: str
    source: str
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True)
class Found:
    """The difference of a comparison, positive where it is as claimed.

    Attributes:
        comparison: which.
        better: mean of the better side.
        worse: mean of the other.
        interval: of the difference, over images; without ends where single numbers are not known.
        published: the same difference of the published numbers; None where there are none.
    """

    comparison: Comparison
    better: float
    worse: float
    interval: Interval
    published: float | None

    @property
    def verdict(self) -> str:
        """Whether the interval is on the claimed side, on the other, or on both, as it is of one image alone.

        Two means of which nothing else is known, such as published ones, are taken as they are.
        """
        low, high = self.interval.low, self.interval.high
        if self.interval.count == 0:
            low = high = self.interval.mean
        return HOLDS if low > 0 else FAILS if high < 0 or low == high else UNDECIDED

    def text(self) -> str:
        """Both numbers and the difference: ``aopc_100: IG GANMEX 1.408 > IG MDTS 1.329, by 0.079 [0.070, 0.088]``."""
        sign = {HOLDS: ">", FAILS: "≯", UNDECIDED: "≈"}[self.verdict]
        if self.comparison.metric in LOWER_IS_BETTER:
            sign = {">": "<", "≯": "≮", "≈": "≈"}[sign]
        numbers = ((self.comparison.better, self.better), (self.comparison.worse, self.worse))
        sides = [f"{_names(places)} {value:.3f}" for places, value in numbers]
        by = f"{self.interval.mean:+.3f}"
        if not np.isnan(self.interval.low):
            by += f" [{self.interval.low:.3f}, {self.interval.high:.3f}]"
        published = "" if self.published is None else f" (published {self.published:+.3f})"
        return f"{self.comparison.metric}: {sides[0]} {sign} {sides[1]}, by {by}{published}"


def compare(comparison: Comparison, ours: Values, published: Values) -> Found | None:
    """The difference of both sides, paired by image; None where a column is missing.

    A side that is a mean alone, such as that of thousands of random pairs, is taken as known without error.
    """
    sides = _sides(ours, comparison)
    if sides is None:
        return None
    sign = -1 if comparison.metric in LOWER_IS_BETTER else 1
    better, worse = (float(np.nanmean(side)) for side in sides)
    differences = sign * (sides[0] - sides[1])
    known = metrics.bootstrap_interval(differences) if differences.ndim else None
    interval = known or Interval(float(differences), np.nan, np.nan, 0, 0)
    theirs = _sides(published, comparison)
    return Found(comparison, better, worse, interval, None if theirs is None else sign * float(theirs[0] - theirs[1]))


def judge(claim: Claim, ours: Values, published: Values) -> str | None:
    """One line: whether the claim holds, and by how much; None where nothing of it was measured."""
    found = [each for each in (compare(c, ours, published) for c in claim.comparisons) if each is not None]
    if not found:
        return None
    verdicts = [each.verdict for each in found]
    verdict = FAILS if FAILS in verdicts else UNDECIDED if UNDECIDED in verdicts else HOLDS
    shown = found if len(found) <= _SHOWN else [min(found, key=_relative)]
    told = "; ".join(each.text() for each in shown)
    if len(found) > _SHOWN:
        told = f"{verdicts.count(HOLDS)} of {len(found)} comparisons hold; the weakest: {told}"
    return f"{claim.text} ({claim.source}): **{verdict}**. {told}."


def _relative(found: Found) -> float:
    """Differences of several metrics by their size."""
    return found.interval.mean / max(abs(found.better), abs(found.worse), 1e-12)


def _sides(values: Values, comparison: Comparison) -> tuple[np.ndarray, np.ndarray] | None:
    """The means over the columns of either side, (n,) or (); None where one is not known."""
    means = []
    for places in (comparison.better, comparison.worse):
        if any((comparison.metric, place) not in values for place in places):
            return None
        means.append(np.mean([np.asarray(values[comparison.metric, place]) for place in places], axis=0))
    return np.asarray(means[0]), np.asarray(means[1])


def _names(places: Sequence[Place]) -> str:
    return label(places[0]) if len(places) == 1 else f"mean of {', '.join(map(label, places))}"


def _each(metric_names: Sequence[str], pairs: Sequence[tuple[Place, Place]]) -> tuple[Comparison, ...]:
    return tuple(Comparison(metric, (better,), (worse,)) for metric in metric_names for better, worse in pairs)


def _best(metric_names: Sequence[str], *best: Place) -> tuple[Comparison, ...]:
    return _each(metric_names, [(first, other) for first in best for other in COLUMNS if other not in best])


def _baseline(name: str) -> Place:
    return ("", name)


_AOPC = ("aopc_100", "aopc_all")
_ROAR = (ROAR, "aoroarc_abs")
_SINGLE = ("faithfulness", "monotonicity")
_METHODS = (_IG, _DEEPLIFT, _OCCLUSION)
_WITH_GANMEX = [(method[2], method[0]) for method in _METHODS]
_TARGETED = [(method[i], method[0]) for method in _METHODS for i in (1, 2)]
_TARGETED += [(method[i], _EG) for method in _METHODS for i in (1, 2)]

CLAIMS: tuple[Claim, ...] = (
    Claim(
        2,
        "GANMEX finds nearer baselines than the training set has (on MNIST: on a par)",
        "appendix B",
        _each(["distance"], [(_baseline("ganmex"), _baseline("nearest"))]),
    ),
    Claim(
        2,
        "Class-targeted baselines are nearer than random images of the target",
        "Table 2",
        _each(["distance"], [(_baseline(name), _baseline("random_sample")) for name in ("ganmex", "nearest")]),
    ),
    Claim(
        2,
        "A GANMEX baseline is nearer than another image of the same class",
        "Table 2",
        _each(["distance"], [(_baseline("ganmex"), _baseline("D_intra"))]),
    ),
    Claim(
        2,
        "GANMEX changes the vertical edges less than MDTS",
        "appendix B, figure 6.B",
        _each(["edge_distance"], [(_baseline("ganmex"), _baseline("nearest"))]),
    ),
    Claim(
        3,
        "IG: GANMEX above MDTS above zero in AOPC_100",
        "Table 3",
        _each(["aopc_100"], [(_IG[2], _IG[1]), (_IG[1], _IG[0])]),
    ),
    Claim(
        3,
        "IG: GANMEX above MDTS above zero in AOPC_all",
        "Table 3, MNIST",
        _each(["aopc_all"], [(_IG[2], _IG[1]), (_IG[1], _IG[0])]),
    ),
    Claim(
        3,
        "IG: GANMEX above MDTS above zero in sparsity",
        "Table 3, MNIST and SVHN",
        _each(["gini"], [(_IG[2], _IG[1]), (_IG[1], _IG[0])]),
    ),
    Claim(
        3,
        "The descent of the perturbation curve is faster with GANMEX than with zero, for all methods",
        "appendix C.1",
        _each(_AOPC, _WITH_GANMEX),
    ),
    Claim(
        3,
        "IG and EG generally outperform DeepLIFT and Occlusion on AOPC",
        "appendix C.1",
        tuple(Comparison(name, (*_IG, _EG), (*_DEEPLIFT, *_OCCLUSION)) for name in _AOPC),
    ),
    Claim(3, "IG with GANMEX is the best overall on AOPC", "appendix C.1", _best(_AOPC, _IG[2])),
    Claim(
        3, "ROAR: GANMEX and MDTS both outperform EG and zero baselines", "appendix C.2", _each(_ROAR[:1], _TARGETED)
    ),
    Claim(3, "The same for the order by |A|", "appendix C.2", _each(_ROAR[1:], _TARGETED)),
    Claim(3, "ROAR: Occlusion with GANMEX is the best overall", "appendix C.2", _best(_ROAR[:1], _OCCLUSION[2])),
    Claim(3, "The same for the order by |A|", "appendix C.2", _best(_ROAR[1:], _OCCLUSION[2])),
    Claim(
        3,
        "Maps of IG and EG are sparser than those of DeepLIFT and Occlusion (gini of |A|)",
        "appendix C.3",
        (Comparison("gini", (*_IG, _EG), (*_DEEPLIFT, *_OCCLUSION)),),
    ),
    Claim(
        3, "IG with GANMEX and with MDTS are the sparsest (gini of |A|)", "appendix C.3", _best(["gini"], *_IG[:0:-1])
    ),
    Claim(3, "EG is less sparse than IG", "appendix C.3", _each(["gini"], [(place, _EG) for place in _IG])),
    Claim(3, "EG is the most faithful and the most monotonic", "appendix C.4", _best(_SINGLE, _EG)),
    Claim(
        3,
        "Occlusion with zero is more faithful and more monotonic than all others but EG",
        "appendix C.4",
        tuple(c for c in _best(_SINGLE, _OCCLUSION[0]) if c.worse != (_EG,)),
    ),
    Claim(
        3,
        "GANMEX is more localized than MDTS for all methods",
        "appendix C.5",
        _each(["inverse_localization"], [(method[2], method[1]) for method in _METHODS]),
    ),
    Claim(
        3,
        "EG and zero baselines are the least localized",
        "appendix C.5",
        _each(["inverse_localization"], _TARGETED),
    ),
    Claim(
        3,
        "Occlusion with GANMEX is the most localized",
        "appendix C.5",
        _best(["inverse_localization"], _OCCLUSION[2]),
    ),
)
