"""The trainers side by side: the files, that the same training is the same, and that the tables are the curves."""

from __future__ import annotations

import csv
import re

import numpy as np
import pytest
from PIL import Image

from tf_ganmex.errors import OptionError
from tf_ganmex.gan.steps import METRICS
from tf_ganmex.reproduce.trainers import KERAS, NUDGED, TFGAN, TRAINERS, Setting, relative_difference, run


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    out = tmp_path_factory.mktemp("trainers") / "made"
    run("digits", out, Setting(steps=6, every=2, batch_size=8, filters=2, blocks=0))
    return out


@pytest.fixture(scope="module")
def curves(out):
    with (out / "digits.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        trainer: {
            name: np.array([float(row[name]) for row in rows if row["trainer"] == trainer])
            for name in ("step", "seconds", *METRICS)
        }
        for trainer in TRAINERS
    }


def table(text, header):
    """The cells of the table that begins so, by the first cell of their row."""
    lines = text[text.index(header) :].split("\n\n")[0].splitlines()[2:]
    return {cells[0]: cells[1:] for cells in ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)}


def test_three_files_and_nothing_else(out):
    assert {path.name for path in out.iterdir()} == {"digits.md", "digits.csv", "digits.png"}
    assert Image.open(out / "digits.png").size > (500, 300)
    assert (out / "digits.png").stat().st_size < 200_000


def test_every_trainer_reports_every_other_step(curves):
    for curve in curves.values():
        assert curve["step"].tolist() == [2, 4, 6]
        assert (np.diff(curve["seconds"]) > 0).all()
        assert all(np.isfinite(curve[name]).all() for name in METRICS)
        assert (curve["distance"] > 0).all()


@pytest.mark.parametrize("measure", METRICS)
def test_keras_and_tfgan_begin_the_same(curves, measure):
    ours, theirs = curves[KERAS][measure][:1], curves[TFGAN][measure][:1]
    assert relative_difference(ours, theirs) < 1e-4


def test_joint_updates_are_another_training_and_the_nudge_is_one(curves):
    joint, ours, _, nudged = (curves[trainer] for trainer in TRAINERS)
    assert relative_difference(joint["generator_loss"], ours["generator_loss"]) > 1e-4
    apart = [relative_difference(nudged[name], ours[name]) for name in ("generator_loss", "similarity", "adversarial")]
    assert 0 < max(apart) < 1e-2


def test_the_tables_are_those_of_the_curves(out, curves):
    text = (out / "digits.md").read_text()
    results = table(text, "| trainer |")
    assert list(results) == list(TRAINERS)
    for trainer, (share, distance, generator, discriminator, rate, first) in results.items():
        curve = curves[trainer]
        assert generator == f"{curve['generator_loss'][-1]:.4f}"
        assert discriminator == f"{curve['discriminator_loss'][-1]:.4f}"
        assert rate == f"{np.median(2 / np.diff(curve['seconds'])):.2f}"
        assert 0 < float(first.removesuffix(" s")) <= curve["seconds"][0] + 0.05
        assert 0 <= float(share.removesuffix("%")) <= 100
        assert 1 < float(distance) < 28
    differences = table(text, "| measure |")
    assert list(differences) == [name.replace("_", " ") for name in METRICS]
    for name in METRICS:
        expected = [f"{relative_difference(curves[KERAS][name], curves[other][name]):.1e}" for other in (TFGAN, NUDGED)]
        # No more reports than the early ones.
        assert differences[name.replace("_", " ")] == [expected[0]] * 2 + [expected[1]] * 2


def test_what_was_run_is_said(out):
    text = (out / "digits.md").read_text()
    assert text.startswith("`python -m tf_ganmex.reproduce.trainers digits --steps 6 --every 2 --seed 0`")
    assert re.search(r"\d+ cores, TensorFlow \d\.\d+.*, Keras \d\.\d+.*, TF-GAN \d\.\d+", text)
    assert "360 test images" in text
    assert str(out) not in text


def test_relative_difference():
    assert relative_difference(np.array([0.0, 2.0, -1.0]), np.array([0.0, 2.5, -1.0])) == pytest.approx(0.2)
    assert relative_difference(np.zeros(2), np.array([0.0, 1e-9])) == 1


@pytest.mark.parametrize(("steps", "every"), [(10, 10), (25, 10), (10, 0)])
def test_steps_that_cannot_be_timed_are_refused(steps, every):
    with pytest.raises(OptionError, match=f"Received: steps={steps}, every={every}"):
        Setting(steps=steps, every=every)
