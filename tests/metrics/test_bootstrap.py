"""Bootstrap intervals: what they cover, what they leave out, and values without spread."""

from __future__ import annotations

import numpy as np
import pytest

from tf_ganmex.errors import OptionError
from tf_ganmex.metrics import Interval, bootstrap_interval


def test_mean_and_normal_theory():
    values = np.random.default_rng(1).normal(2, 3, 4000)
    interval = bootstrap_interval(values)
    error = values.std(ddof=1) / np.sqrt(len(values))
    assert interval.mean == pytest.approx(values.mean())
    assert (interval.low, interval.high) == pytest.approx(
        (values.mean() - 1.96 * error, values.mean() + 1.96 * error), abs=0.2 * error
    )
    assert (interval.count, interval.undefined) == (4000, 0)


def test_covers_as_often_as_it_says():
    rng = np.random.default_rng(2)
    intervals = [bootstrap_interval(rng.exponential(size=60), level=0.8, resamples=400) for _ in range(200)]
    assert 0.7 <= np.mean([i.low <= 1 <= i.high for i in intervals]) <= 0.9
    # Of a skewed quantity it is skewed too.
    assert np.mean([i.high - i.mean > i.mean - i.low for i in intervals]) > 0.9


def test_undefined_values_are_counted_and_left_out():
    values = np.random.default_rng(3).normal(size=50)
    mixed = np.full(80, np.nan)
    mixed[::2][:40] = values[:40]
    mixed[1::2][:10] = values[40:]
    interval = bootstrap_interval(mixed)
    assert (interval.count, interval.undefined) == (50, 30)
    assert interval.mean == pytest.approx(values.mean())
    assert interval.low < interval.mean < interval.high
    assert "30 undefined" in str(interval)


def test_too_few_values():
    nothing = bootstrap_interval([np.nan, np.nan])
    assert np.isnan([nothing.mean, nothing.low, nothing.high]).all()
    assert (nothing.count, nothing.undefined) == (0, 2)
    one = bootstrap_interval([np.nan, 3.0])
    assert (one.mean, one.count, one.undefined) == (3.0, 1, 1)
    assert np.isnan([one.low, one.high]).all()


def test_values_without_spread(recwarn):
    assert bootstrap_interval(np.full(30, 0.5)) == Interval(0.5, 0.5, 0.5, 30, 0)
    assert bootstrap_interval(np.ones(30, int)) == Interval(1, 1, 1, 30, 0)
    share = bootstrap_interval(np.arange(500) > 0)  # one that is not
    assert 0.98 < share.low < share.mean < share.high <= 1
    assert not recwarn.list


def test_seed_and_level():
    values = np.random.default_rng(4).normal(size=40)
    assert bootstrap_interval(values, seed=1) == bootstrap_interval(values, seed=1)
    assert bootstrap_interval(values, seed=1) != bootstrap_interval(values, seed=2)
    narrow, wide = bootstrap_interval(values, level=0.5), bootstrap_interval(values, level=0.99)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_resamples_are_not_held_all_at_once(monkeypatch):
    """A few resamples at a time give the same interval: the memory is bounded for ten thousand images."""
    from tf_ganmex.metrics import bootstrap

    values = np.random.default_rng(5).normal(size=100)
    whole = bootstrap_interval(values)
    sizes = []
    resample = bootstrap.stats.bootstrap
    monkeypatch.setattr(bootstrap, "_NUMBERS", 700)
    monkeypatch.setattr(
        bootstrap.stats,
        "bootstrap",
        lambda *args, **options: sizes.append(options["batch"]) or resample(*args, **options),
    )
    few = bootstrap_interval(values)
    assert sizes == [7]
    assert (few.low, few.high) == pytest.approx((whole.low, whole.high))


@pytest.mark.parametrize(
    ("values", "options", "text"),
    [
        ([[1.0, 2.0]], {}, "shape=\\(1, 2\\)"),
        (["a", "b"], {}, "dtype"),
        ([1.0, np.inf], {}, "infinite"),
        ([1.0, 2.0], {"level": 95}, "level=95"),
        ([1.0, 2.0], {"level": True}, "level=True"),
        ([1.0, 2.0], {"resamples": 0}, "resamples=0"),
    ],
)
def test_what_does_not_fit(values, options, text):
    with pytest.raises(OptionError, match=rf"Expected.*Received.*{text}"):
        bootstrap_interval(values, **options)


def test_a_share_has_wilsons_interval():
    for successes, count in ((40, 40), (0, 12), (7, 20)):
        found = bootstrap_interval(np.arange(count) < successes)
        p, z = successes / count, 1.959964
        middle = (p + z**2 / (2 * count)) / (1 + z**2 / count)
        half = z / (1 + z**2 / count) * np.sqrt(p * (1 - p) / count + z**2 / (4 * count**2))
        assert found.mean == pytest.approx(p)
        assert (found.low, found.high) == pytest.approx((middle - half, middle + half), abs=1e-6)


def test_values_that_are_equal_but_for_rounding_have_themselves_for_an_interval(recwarn):
    found = bootstrap_interval([1, 1, 1, 1 + 3e-16])
    assert (found.low, found.high) == pytest.approx((1, 1)) and not recwarn
