"""The scan of ``ganmex reproduce``: page, picture and table of generators that are kept, and its claims."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from tf_ganmex.cli import main
from tf_ganmex.gan import GANMEX
from tf_ganmex.reproduce import experiments
from tf_ganmex.reproduce.claims import FAILS, HOLDS, UNDECIDED
from tf_ganmex.training.scan import Trial


def run(folder, where, steps):
    command = ["reproduce", folder / "mnist.npz", "--figure", "scan", "--limit", 5, "--models", folder / "models"]
    return main([str(word) for word in [*command, "--out", where, "--keep", where / "keep", "--scan-steps", steps]])


def test_page_table_and_picture_of_generators_that_are_kept(one_layer, tmp_path, monkeypatch, capsys):
    values = {"classification": (1.0, 100.0), "similarity": (20.0,), "reconstruction": (10.0,)}  # 20, 10: the options
    monkeypatch.setattr(experiments, "SCANNED", values)
    assert run(one_layer, tmp_path, 1) == 0
    told = capsys.readouterr()
    assert "classification 100: " in told.err and "step 1 of 1" in told.err
    text = (tmp_path / "scan.md").read_text()
    for words in ("1 steps each", "5 test images of mnist", "seed 0", "![Baselines by weight](scan.png)",
                  "| λ_cls | 100 |", "4 filters, 0 blocks", "appendix D): **"):  # fmt: skip
        assert words in text
    with (tmp_path / "scan.csv").open() as file:
        rows = list(csv.reader(file))
    assert [row[:2] for row in rows[1:]] == [
        ["classification", "1.0"], ["classification", "100.0"], ["similarity", "20.0"], ["reconstruction", "10.0"]
    ]  # fmt: skip
    assert (tmp_path / "scan.png").stat().st_size > 2000
    monkeypatch.setattr(GANMEX, "train_step", lambda *args: pytest.fail("trained again"))
    assert run(one_layer, tmp_path, 1) == 0
    assert (tmp_path / "scan.csv").read_text().splitlines()[1:] == [",".join(row) for row in rows[1:]]
    with pytest.raises(BaseException, match="trained again"):
        run(one_layer, tmp_path, 2)


def trial(weight, value, share, distance):
    near = np.linspace(-0.5, 0.5, 200)
    return Trial(weight, value, np.arange(200) < 200 * share, distance + near, np.zeros((1, 4, 4, 1)))


@pytest.mark.parametrize("turned", [False, True])
def test_claims_compare_the_lowest_with_the_highest_weight(turned):
    found = experiments.scan_claims([
        trial("classification", 100.0, 0.9, 5.0), trial("classification", 1.0, 0.95 if turned else 0.2, 5.0),
        trial("classification", 20.0, 0.0, 5.0),
        trial("similarity", 0.0, 0.9, 5.0 if turned else 9.0), trial("similarity", 100.0, 0.99 if turned else 0.3, 6.0),
        trial("reconstruction", 0.0, 0.9, 5.0), trial("reconstruction", 100.0, 0.9 if turned else 0.5, 5.0),
    ])  # fmt: skip
    assert len(found) == 4 and all(f"**{FAILS if turned else HOLDS}**" in line for line in found)
    if not turned:
        assert "0.200 at classification 1 < 0.900 at 100, by +0.700 [" in found[0]
        assert "distance: 6.000 at similarity 100 < 9.000 at 0, by +3.000" in found[1]


def test_a_difference_that_may_be_chance_is_undecided():
    shares = [trial(weight, value, 0.9, 5.0) for weight in ("similarity", "reconstruction") for value in (0.0, 1.0)]
    low = trial("classification", 1.0, 0.9, 5.0)
    low.assigned[:] = np.roll(low.assigned, 21)  # other images, and one fewer
    low.assigned[0] = not low.assigned[0]
    (line, *_) = experiments.scan_claims([low, trial("classification", 9.0, 0.9, 5.0), *shares])
    assert f"**{UNDECIDED}**" in line and "≈" in line
