"""The benchmark's arithmetic on invented times: statistics, floors, verdicts, the page, and contenders that fail."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks import agreement, floors, growth, networks, report, running
from benchmarks.case import Case, Contender, Task
from benchmarks.layers import Layer
from benchmarks.machine import Machine
from benchmarks.timing import choose, in_turns, ratios, spread

MACHINE = Machine(cores=2, operations=1e9, bandwidth=1e9)
DENSE = Layer("dense", (4,), (3,), {"kernel": np.zeros((4, 3)), "bias": np.zeros(3)})
CONV = Layer("conv", (8, 8, 2), (4, 4, 5), {"kernel": np.zeros((3, 3, 2, 5))}, stride=2, padding=(0, 1, 0, 1))
DEPTHWISE = Layer("depthwise", (8, 8, 6), (8, 8, 6), {"kernel": np.zeros((3, 3, 6, 1))}, padding=(1, 1, 1, 1))


def sleeping(task, *, milliseconds=1.0, adds=0.0):
    calls = []

    def run():
        time.sleep((50 if not calls else milliseconds) / 1000)
        calls.append(1)
        return np.arange(6.0).reshape(2, 3) + adds

    return run


def failing(task):
    raise RuntimeError("no such thing\nand more")


def dying(task):
    import os

    os._exit(3)


def hungry(task):
    def run():
        block = np.ones(2**24, np.float32)  # 64 MB
        return block[:1].copy()

    return run


def case(*contenders, **options):
    return Case("key", "A title", Task("none", 2), Task("none", 1), contenders, **options)


def run(monkeypatch, made, *, rounds=3):
    monkeypatch.setattr(running, "_prepare", sleeping)
    return running.run_case(made, MACHINE, folder=Path(), data=None, rounds=rounds, quick=False)


@pytest.fixture(scope="module")
def done():
    with pytest.MonkeyPatch.context() as patch:
        contenders = (
            Contender("ours", sleeping),
            Contender("slow", sleeping, ({"milliseconds": 20.0},), note="sleeps longer"),
            Contender("fast but ours", sleeping, ({"milliseconds": 0.1},), counts=False),
            Contender("wrong", sleeping, ({"milliseconds": 60.0, "adds": 0.1},)),
            Contender("broken", failing),
            Contender("dead", dying),
        )
        yield run(patch, case(*contenders, target=2.0, published=(10.0, 20.0)))


def by_name(done):
    return {each["name"]: each for each in done["contenders"]}


def test_median_and_quartiles():
    found = spread([4.0, 1.0, 3.0, 2.0, 5.0])
    assert (found.median, found.low, found.high, found.rounds) == (3, 2, 4, 5)


def test_ratios_are_of_the_same_round():
    # A machine that is busy in one round is so for both: the ratio stays 2 though times vary tenfold.
    assert ratios([1.0, 10.0, 1.0], [2.0, 20.0, 2.0]).low == 2
    assert ratios([1.0, 10.0, 1.0], [2.0, 20.0, 2.0]).high == 2


def test_first_call_is_no_warm_time(done):
    ours = by_name(done)["ours"]
    assert ours["cold"] > 0.05 > max(ours["warm"])
    assert len(ours["warm"]) == 3


def test_target_is_judged_against_the_fastest_peer_that_counts(done):
    assert done["ratio"]["peer"] == "slow"
    assert done["ratio"]["met"]
    assert 5 < done["ratio"]["median"] < 21


def test_missed_target(monkeypatch):
    found = run(monkeypatch, case(Contender("ours", sleeping), Contender("peer", sleeping), target=30.0))
    assert not found["ratio"]["met"]
    assert "**not met**" in report.summary([found])


def test_published_time_is_of_the_whole_task(done):
    assert done["published"]["ratio"] == pytest.approx(10 / done["contenders"][0]["spread"]["median"])


def test_results_that_differ_are_told(done):
    assert by_name(done)["slow"]["equal"]
    assert not by_name(done)["wrong"]["equal"]
    assert by_name(done)["wrong"]["differs"] == pytest.approx(0.05)  # 0.1 where the image's largest value is 2
    assert "too far" in report.page_of_case(done)


def test_differences_of_random_draws_are_told_and_not_judged(monkeypatch):
    found = run(
        monkeypatch, case(Contender("ours", sleeping), Contender("drawn", sleeping, ({"adds": 0.1},), judged=False))
    )
    assert by_name(found)["drawn"]["equal"] is None
    assert by_name(found)["drawn"]["differs"] == pytest.approx(0.05)
    assert "5.0e-02 |" in report.page_of_case(found)


def test_contenders_that_cannot_run_are_told(done):
    assert "RuntimeError: no such thing" in by_name(done)["broken"]["error"]
    assert "exit code 3" in by_name(done)["dead"]["error"]
    page = report.page_of_case(done)
    assert "| broken | could not run |" in page
    assert "no such thing" in page


def test_failure_of_ours_is_an_error(monkeypatch):
    with pytest.raises(RuntimeError, match="ours failed"):
        run(monkeypatch, case(Contender("ours", failing), Contender("peer", sleeping)))


def test_times_are_of_one_image(done):
    ours = by_name(done)["ours"]
    assert report.duration(ours["spread"]["median"] / 2) in report.page_of_case(done)


def test_memory_is_what_a_call_needed():
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("needs Linux, which tells the peak of a process")
    measured = in_turns([Contender("hungry", hungry)], Task("none", 1), rounds=1, scan=False)["hungry"]
    assert 60e6 < measured.memory < 90e6


def test_the_fastest_settings_are_taken():
    slow, fast = {"milliseconds": 30.0}, {"milliseconds": 1.0}
    contender = Contender("peer", sleeping, (slow, fast))
    assert choose(contender, Task("none", 1), scan=True) == fast
    assert choose(contender, Task("none", 1), scan=False) == slow


def test_multiply_adds():
    assert floors.multiply_adds(DENSE) == 12
    assert floors.multiply_adds(CONV) == 4 * 4 * 5 * 3 * 3 * 2
    assert floors.multiply_adds(DEPTHWISE) == 8 * 8 * 6 * 3 * 3


def test_work_of_a_network():
    relu = Layer("relu", (3,), (3,))
    assert floors.forward([DENSE, relu]) == floors.Work(2 * 12, 4 * (4 + 3))
    assert floors.path([DENSE], Task("none", 1, steps=10)).operations == 10 * 2 * 2 * 12
    assert floors.every_feature([DENSE], Task("none", 1)).operations == (1 + 4) * 2 * 12


def test_floor_is_the_longer_of_operations_and_bytes():
    assert floors.seconds(floors.Work(2e9, 1e9), MACHINE) == 2
    assert floors.seconds(floors.Work(1e9, 3e9), MACHINE) == 3


def test_difference_is_a_share_of_the_image_s_own_largest_value():
    reference = np.array([[1.0, -2.0], [0.01, 0.0]])
    found = np.array([[1.0, -2.0], [0.011, 0.0]])
    assert agreement.difference(found, reference) == pytest.approx(0.1)


def test_exponent_of_growth():
    sizes = [1, 3, 10, 30, 100, 300]
    assert growth.fitted_exponent(sizes, [2 * size**1.5 for size in sizes]) == pytest.approx(1.5)
    assert growth.fitted_exponent(sizes, [5 + size for size in sizes]) < 1  # what is fixed bends the line


def test_page_holds_targets_machine_and_growth(done, tmp_path):
    lines = [{"title": "IG, against images", "axis": "images", "sizes": (1, 2, 4), "seconds": [1, 2, 4], "exponent": 1}]
    growth.draw(lines, tmp_path / "growth.png")
    run = {"processor": "P", "system": "S", "python": "3", "versions": {"numpy": "2"}, **vars(MACHINE)}
    results = {
        "runs": {"now": run},
        "cases": {"key": done | {"run": "now"}},
        "outputs": {"mnist": 1e-9},
        "growth": {"lines": lines, "figure": "growth.png", "notes": []},
    }
    report.save(results, tmp_path / "page", ["key"])
    assert report.load_results(tmp_path / "page.json")["cases"]["key"]["ratio"]["peer"] == "slow"
    text = (tmp_path / "page.md").read_text()
    for told in ("≥ 2 | met", "≥ 20", "A title", "growth.png", "1 G operations/s", "numpy 2", "1.0e-09"):
        assert told in text
    assert json.loads((tmp_path / "page.json").read_text())["runs"]["now"]["cores"] == 2


def test_every_case_compares_and_has_a_key_of_its_own():
    known = command.cases()
    assert {"ig-mnist", "deeplift", "mdts", "training"} <= known.keys()
    for key, each in known.items():
        assert key == each.key
        assert each.contenders[0].name == "ours"
        assert any(contender.counts for contender in each.contenders[1:])
        assert replace(each.task, folder=Path()).count >= each.quick.count


def test_unknown_case_is_refused(capsys):
    with pytest.raises(SystemExit):
        command.main(["--only", "nothing"])
    assert "ig-mnist" in capsys.readouterr().err


def test_pytorch_pads_like_keras():
    from benchmarks.layers import _same

    assert _same(224, 3, 2) == (0, 1)
    assert _same(32, 3, 1) == (1, 1)


def test_digits_without_a_download():
    x, y = networks.mnist(None, 0)
    assert x.shape == (60_000, 28, 28, 1)
    assert x.dtype == np.float32
    assert 0 <= x.min() < x.max() <= 1
    assert set(y) == set(range(10))
