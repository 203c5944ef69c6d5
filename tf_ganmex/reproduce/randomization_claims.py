"""What the GANMEX paper says about its maps under randomization, and whether a check bears it out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tf_ganmex.metrics import Interval, bootstrap_interval
from tf_ganmex.reproduce.claims import FAILS, HOLDS, UNDECIDED
from tf_ganmex.sanity import SanityCheck
from tf_ganmex.sanity.result import Column

METHODS, EG = ("IG", "DeepLIFT", "Occlusion"), "EG"
FOLLOWING, FIXED, ALONE, SAMPLES = "GANMEX", "GANMEX fixed", "stand-alone GAN", "samples"
UNMOVED = ("zero", "MDTS", FIXED, ALONE)  # the same at all stages
WORDS = {
    "spearman": "Spearman",
    "spearman_absolute": "Spearman of |map|",
    "ssim": "SSIM",
    "hog": "HOG",
    "assigned": "share made the target",
    "moved": "L2 distance to the original baseline",
}
SHAPE, _OTHER_SHAPES = "spearman_absolute", ("ssim", "hog")  # what sees the shape of an image in its map


@dataclass(frozen=True)
class Claim:
    """That a measure is higher in some columns than in others, one by one, at every stage.

    Attributes:
        text: a sentence of the paper.
        source: where it says so.
        measure: of maps or, with method "", of baselines.
        pairs: (higher, lower) columns.
    """

    text: str
    source: str
    measure: str
    pairs: tuple[tuple[Column, Column], ...]


def _each_method(higher: str, lower: str) -> tuple[tuple[Column, Column], ...]:
    return tuple(((method, higher), (method, lower)) for method in METHODS)


CLAIMS = (
    Claim(
        "GANMEX follows the classifier: what it makes is the target of the randomized classifier, and what a generator "
        "makes that was not trained on is not",
        "section 4, Figure 3.G",
        "assigned",
        tuple((("", FOLLOWING), ("", name)) for name in (FIXED, ALONE)),
    ),
    Claim(
        "GANMEX's baselines are perturbed by the randomization; those of the stand-alone GAN cannot be, for nothing "
        "about it depends on the classifier",
        "section 5",
        "moved",
        ((("", FOLLOWING), ("", ALONE)),),
    ),
    Claim(
        "Maps of IG, DeepLIFT and Occlusion with zero baselines still show the shape of the image, with GANMEX they "
        "are perturbed",
        "section 4, Figure 3.G",
        SHAPE,
        _each_method("zero", FOLLOWING),
    ),
    Claim(
        "EG is more randomized than maps with zero baselines",
        "section 4",
        SHAPE,
        tuple(((method, "zero"), (EG, SAMPLES)) for method in METHODS),
    ),
    Claim(
        "EG still roughly shows the shape, more than maps with GANMEX",
        "section 4",
        SHAPE,
        tuple(((EG, SAMPLES), (method, FOLLOWING)) for method in METHODS),
    ),
    Claim(
        "Maps with the stand-alone GAN do not respond to the randomization as those with GANMEX do",
        "section 5",
        SHAPE,
        _each_method(ALONE, FOLLOWING),
    ),
)


def judged(claim: Claim, check: SanityCheck) -> str:
    """One line: whether a claim holds at every stage, the weakest difference, and what other measures say."""
    found = [
        (stage, higher, lower, *_difference(check, stage, claim.measure, higher, lower))
        for stage in check.stages
        for higher, lower in claim.pairs
    ]
    verdicts = [_verdict(interval) for *_, interval in found]
    verdict = FAILS if FAILS in verdicts else UNDECIDED if UNDECIDED in verdicts else HOLDS
    others = {name: _held(claim, check, name) for name in _OTHER_SHAPES} if claim.measure == SHAPE else {}
    if verdict == HOLDS and any(2 * held < len(found) for held in others.values()):
        verdict = UNDECIDED
    stage, higher, lower, high, low, by = min(found, key=lambda each: each[-1].mean)
    sign = {HOLDS: ">", FAILS: "≯", UNDECIDED: "≈"}[_verdict(by)]
    said = f"{verdicts.count(HOLDS)} of {len(found)} comparisons hold"
    said += "".join(f", by {WORDS[name]} {held}" for name, held in others.items())
    weakest = f"{WORDS[claim.measure]} {name_of(higher)} {high:.3f} {sign} {name_of(lower)} {low:.3f}"
    return (
        f"{claim.text} ({claim.source}): **{verdict}**. {said}; the weakest, at {stage}: {weakest}, by {by.mean:+.3f} "
        f"[{by.low:.3f}, {by.high:.3f}]."
    )


def _held(claim: Claim, check: SanityCheck, measure: str) -> int:
    """How many comparisons of a claim hold by another measure."""
    return sum(
        _verdict(_difference(check, stage, measure, *pair)[-1]) == HOLDS
        for stage in check.stages
        for pair in claim.pairs
    )


def _difference(
    check: SanityCheck, stage: str, measure: str, higher: Column, lower: Column
) -> tuple[float, float, Interval]:
    high, low = (values_of(check, stage, measure, column) for column in (higher, lower))
    return float(np.nanmean(high)), float(np.nanmean(low)), bootstrap_interval(high - low)


def values_of(check: SanityCheck, stage: str, measure: str, column: Column) -> np.ndarray:
    """A measure of a column, or of a baseline, for each image (n,)."""
    method, baseline = column
    found = check.similarities[stage, method, baseline] if method else check.of_baselines[stage, baseline]
    return np.asarray(found[measure], np.float64)


def _verdict(difference: Interval) -> str:
    low, high = difference.low, difference.high
    return HOLDS if low > 0 else FAILS if high < 0 or low == high else UNDECIDED


def name_of(column: Column) -> str:
    """What a column is called."""
    return " × ".join(filter(None, column))
