"""Claims are judged by numbers: a true one holds, a false one does not, and noise is not taken for either."""

from __future__ import annotations

import numpy as np
import pytest

from tf_ganmex.reproduce.claims import CLAIMS, FAILS, HOLDS, UNDECIDED, Claim, Comparison, compare, judge
from tf_ganmex.reproduce.published import TABLE_2, TABLE_3, column

GANMEX, MDTS, ZERO = (column(f"IG {name}") for name in ("GANMEX", "MDTS", "zero"))
EG = column("EG")
FIRST = Comparison("aopc_100", (GANMEX,), (MDTS,))


def values(**means: float) -> dict:
    """Numbers of 200 images with much variation that all columns share, and little of their own."""
    rng = np.random.default_rng(0)
    common = rng.normal(0, 5, 200)
    places = {"ganmex": GANMEX, "mdts": MDTS, "zero": ZERO, "eg": EG}
    return {("aopc_100", places[name]): mean + common + rng.normal(0, 0.1, 200) for name, mean in means.items()}


@pytest.mark.parametrize(("ganmex", "mdts", "verdict"), [(1.5, 1.3, HOLDS), (1.3, 1.5, FAILS), (1.4, 1.4, UNDECIDED)])
def test_the_difference_is_paired_by_image(ganmex, mdts, verdict):
    found = compare(FIRST, values(ganmex=ganmex, mdts=mdts), {})
    assert found.verdict == verdict  # unpaired, the variation would hide a difference of 0.2
    assert found.interval.low < ganmex - mdts + 0.03 and found.interval.high > ganmex - mdts - 0.03
    assert found.interval.mean == pytest.approx(found.better - found.worse)
    assert found.published is None


def test_the_line_says_by_how_much_and_what_was_published():
    claim = Claim(3, "GANMEX above MDTS", "Table 3", (FIRST,))
    line = judge(claim, values(ganmex=1.5, mdts=1.3), TABLE_3["mnist"])
    assert line.startswith("GANMEX above MDTS (Table 3): **holds**. aopc_100: IG GANMEX 1.")
    assert "> IG MDTS 1." in line and "by +0.19" in line and line.endswith("(published +0.172).")
    assert "**does not hold**" in judge(claim, values(ganmex=1.3, mdts=1.5), {})
    assert judge(claim, values(ganmex=1.3), {}) is None


def test_one_comparison_that_fails_lets_the_claim_fail():
    claim = Claim(3, "", "", (FIRST, Comparison("aopc_100", (MDTS,), (ZERO,))))
    assert "**does not hold**" in judge(claim, values(ganmex=1.5, mdts=1.3, zero=1.4), {})
    assert "**holds**" in judge(claim, values(ganmex=1.5, mdts=1.3, zero=1.2), {})


def test_where_lower_is_better_the_sign_turns():
    near, far = ("", "ganmex"), ("", "nearest")
    comparison = Comparison("distance", (near,), (far,))
    found = compare(comparison, {("distance", near): np.full(9, 5.0), ("distance", far): np.full(9, 7.0)}, {})
    assert found.verdict == HOLDS and found.interval.mean == 2 and "5.000 < MDTS 7.000" in found.text()


def test_means_of_groups_and_numbers_without_images():
    comparison = Comparison("aopc_100", (GANMEX, MDTS), (ZERO, EG))
    found = compare(comparison, values(ganmex=1.6, mdts=1.4, zero=1.0, eg=1.2), {})
    assert found.interval.mean == pytest.approx(0.4, abs=0.03) and "mean of IG GANMEX, IG MDTS" in found.text()
    bare = compare(FIRST, {("aopc_100", GANMEX): 1.0, ("aopc_100", MDTS): 2.0}, {})
    assert bare.verdict == FAILS and np.isnan(bare.interval.low)


def test_a_mean_of_its_own_is_set_against_the_numbers_of_images():
    distances, reference = np.linspace(5, 9, 40), ("", "D_intra")
    comparison = Comparison("distance", (("", "ganmex"),), (reference,))
    for mean, verdict in ((9.0, HOLDS), (7.1, UNDECIDED), (5.0, FAILS)):
        found = compare(comparison, {("distance", ("", "ganmex")): distances, ("distance", reference): mean}, {})
        assert found.verdict == verdict and found.interval.low < mean - 7 < found.interval.high


def test_one_image_decides_nothing():
    one = {("aopc_100", place): np.array([value]) for place, value in ((GANMEX, 1.5), (MDTS, 1.3))}
    assert compare(FIRST, one, {}).verdict == UNDECIDED


def test_undefined_maps_are_left_out_of_both_sides():
    numbers = values(ganmex=1.5, mdts=1.3)
    numbers["aopc_100", GANMEX][:50] = np.nan
    assert compare(FIRST, numbers, {}).interval.count == 150


def published(data: str) -> dict:
    distances = {("distance", ("", name)): value for name, value in TABLE_2[data].items()}
    return TABLE_3[data] | distances


def verdict(text: str, data: str) -> str | None:
    """What a claim, the first that begins so, is worth on the published numbers themselves."""
    numbers = published(data)
    line = judge(next(claim for claim in CLAIMS if claim.text.startswith(text)), numbers, numbers)
    return line and line.split("**")[1]


def test_the_papers_own_numbers_bear_out_what_they_should_and_nothing_else():
    assert verdict("IG: GANMEX above MDTS above zero in AOPC_100", "mnist") == HOLDS
    assert verdict("IG: GANMEX above MDTS above zero in AOPC_all", "svhn_cropped") == FAILS  # .822 < .844
    assert verdict("IG with GANMEX is the best overall on AOPC", "mnist") == HOLDS
    assert verdict("IG with GANMEX is the best overall on AOPC", "cifar10") == FAILS  # EG .516
    assert verdict("ROAR: Occlusion with GANMEX", "mnist") == HOLDS
    assert verdict("GANMEX is more localized", "svhn_cropped") == HOLDS
    assert verdict("Occlusion with GANMEX is the most localized", "svhn_cropped") == HOLDS
    assert verdict("GANMEX is more localized", "mnist") is None
    assert verdict("EG is the most faithful", "mnist") == HOLDS
    assert verdict("Occlusion with zero is more faithful", "mnist") == FAILS  # IG with GANMEX .280 > .257
    assert verdict("GANMEX finds nearer baselines", "cifar10") == HOLDS
