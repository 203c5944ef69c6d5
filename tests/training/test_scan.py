"""The scan over the weights of the losses: what is trained, what is measured, and the command."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tf_ganmex as gx
from tf_ganmex.cli import main
from tf_ganmex.draws import other_classes
from tf_ganmex.errors import OptionError
from tf_ganmex.training import Recipe, train_ganmex
from tf_ganmex.training import scan as scanning

BASE = {"classification": 20.0, "similarity": 60.0, "reconstruction": 0.0}
TINY = {"filters": 4, "blocks": 0}


@pytest.fixture(scope="module")
def data():
    return gx.load_dataset("digits", classes=["0", "1", "2"])


@pytest.fixture(scope="module")
def clf(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("scan") / "digits.keras"
    assert main(["train-classifier", "digits", "--classes", "0", "1", "2", "--epochs", "1", "--out", str(path)]) == 0
    return gx.load_classifier(path)


def run(clf, data, directory, values, **options):
    recipe = Recipe(steps=2, batch_size=4)
    return list(
        scanning.scan_weights(
            clf, data, directory, values, base=BASE, recipe=recipe, every=1, limit=20, verbose=0, **TINY, **options
        )
    )


def test_each_value_is_a_generator_of_its_own_measured_on_its_baselines(clf, data, tmp_path):
    low, high = run(clf, data, tmp_path / "scan", {"similarity": [0, 1000]})
    assert (low.weight, low.value, high.value) == ("similarity", 0.0, 1000.0)
    gan = train_ganmex(
        clf, data, tmp_path / "alone", recipe=Recipe(steps=2, batch_size=4), every=1, verbose=0,
        classification_weight=20.0, similarity_weight=1000.0, reconstruction_weight=0.0, **TINY,
    )  # fmt: skip
    x, target = data.x_test[:20], other_classes(data.y_test[:20], 3, 0)
    made = gan.generate(x, target)
    np.testing.assert_array_equal(high.baselines, made[:8])
    assert high.share == (clf.predict(made) == target).mean()
    assert high.distance == pytest.approx(np.linalg.norm((made - x).reshape(20, -1), axis=1).mean(), rel=1e-5)
    assert not np.allclose(low.baselines, high.baselines)


def test_what_is_trained_is_not_trained_again(clf, data, tmp_path, monkeypatch):
    run(clf, data, tmp_path, {"similarity": [60]})
    trained = []
    monkeypatch.setattr(gx.GANMEX, "train_step", lambda *_: trained.append(1))
    again = run(clf, data, tmp_path, {"classification": [20], "similarity": [60, 60.0]})
    assert not trained, "the base was trained for the similarity before"
    assert [(trial.weight, trial.value) for trial in again] == [("classification", 20.0), ("similarity", 60.0)]


@pytest.mark.parametrize(("values", "base"), [({"sim": [1]}, BASE), ({"similarity": [1]}, {"similarity": 1.0})])
def test_weights_must_be_known_and_have_a_base(clf, data, tmp_path, values, base):
    with pytest.raises(OptionError, match=r"sim|classification"):
        next(scanning.scan_weights(clf, data, tmp_path, values, base=base))


def test_other_classes_are_never_the_own_and_all_equally_likely():
    labels = np.repeat(np.arange(4), 3000)
    targets = other_classes(labels, 4, seed=1)
    counts = np.histogram2d(labels, targets, bins=4)[0]
    assert not np.diag(counts).any()
    np.testing.assert_allclose(counts[~np.eye(4, dtype=bool)], 1000, atol=120)


def test_the_command_writes_table_and_picture(tmp_path, capsys):
    model = str(tmp_path / "digits.keras")
    assert main(["train-classifier", "digits", "--epochs", "1", "--out", model]) == 0
    sizes = ["--filters", "4", "--blocks", "1", "--batch-size", "4", "--steps", "1", "--limit", "10"]
    varied = ["--vary", "similarity", "0", "60", "--vary", "classification", "20"]
    assert main(["scan", model, "digits", *varied, *sizes, "--out", str(tmp_path / "scan")]) == 0
    rows = list(csv.reader((tmp_path / "scan" / "scan.csv").read_text().splitlines()))
    assert [row[:2] for row in rows[1:]] == [["similarity", "0.0"], ["similarity", "60.0"], ["classification", "20.0"]]
    assert (tmp_path / "scan" / "scan.md").read_text().count("| λ_sim |") == 2
    assert Image.open(tmp_path / "scan" / "scan.png").width > 400
    assert rows[3][2:] == rows[2][2:], "the same generator"
    assert "λ_cls | 20 |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("varied", "expected"),
    [(["similarity"], "none"), (["similarity", "much"], "much"), (["style", "1"], "style")],
)
def test_wrong_values_are_one_line(tmp_path, capsys, varied, expected):
    model = Path(__file__).parents[2] / "saved_models" / "digits" / "classifier.keras"
    assert main(["scan", str(model), "digits", "--vary", *varied, "--out", str(tmp_path)]) == 2
    assert expected in next(line for line in capsys.readouterr().err.splitlines() if "error" in line)
