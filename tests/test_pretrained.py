"""The models that come with the package do what docs/results says, and the demonstration runs on them."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

import tf_ganmex as gx
from tf_ganmex.cli import main

MODELS = Path(__file__).parents[1] / "saved_models"
LIMIT = 4_000_000  # bytes


CLASSIFIERS = sorted(path.parent.name for path in MODELS.glob("*/classifier.keras"))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_classifier_is_small_and_says_what_it_was_trained_on(name):
    assert (MODELS / name / "classifier.keras").stat().st_size < LIMIT
    facts = json.loads((MODELS / name / "classifier.json").read_text())
    assert np.trace(facts["confusion_matrix"]) / facts["test_images"] == pytest.approx(facts["test_accuracy"], abs=1e-4)
    assert gx.load_classifier(MODELS / name / "classifier.keras").num_classes == len(facts["class_names"])


@pytest.mark.parametrize("name", ["apple_orange", "apple_orange_128"])
def test_apples_and_oranges_are_told_apart_as_written(name, shared):
    facts = json.loads((MODELS / name / "classifier.json").read_text())
    (size,) = facts["settings"]["image_size"]
    data = gx.load_dataset(shared / "data" / "apple_orange.zip", image_size=size, classes=facts["class_names"])
    clf = gx.load_classifier(MODELS / name / "classifier.keras")
    accuracy = (clf.predict(data.x_test) == data.y_test).mean()
    assert accuracy == pytest.approx(facts["test_accuracy"], abs=1.5 / len(data.y_test))  # rounding may turn an image
    assert accuracy >= 0.9


def test_apples_become_oranges_that_are_nearer_than_any_photograph_of_oranges(shared):
    data = gx.load_dataset(shared / "data" / "apple_orange.zip", image_size=64, classes=["apple", "orange"])
    clf = gx.load_classifier(MODELS / "apple_orange" / "classifier.keras")
    gan = gx.load_ganmex(MODELS / "apple_orange" / "ganmex", clf)
    x, target = data.x_test[:100], 1 - data.y_test[:100]
    made, nearest = gan.generate(x, target), gx.baselines.nearest(data.x_train, data.y_train)(x, target)
    assert (clf.predict(made) == target).mean() >= 0.97
    distance, to_nearest = (np.linalg.norm((other - x).reshape(100, -1), axis=1) for other in (made, nearest))
    assert (distance < to_nearest).mean() >= 0.97


def test_colored_digits_are_told_apart_as_written(shared):
    data = gx.load_dataset("colored_mnist", data_dir=shared / "data")
    clf = gx.load_classifier(MODELS / "colored_mnist" / "classifier.keras")
    facts = json.loads((MODELS / "colored_mnist" / "classifier.json").read_text())
    accuracy = (clf.predict(data.x_test) == data.y_test).mean()
    assert accuracy == pytest.approx(facts["test_accuracy"], abs=2e-4) and accuracy >= 0.99


@pytest.mark.parametrize("name", ["digits", "mnist", "apple_orange"])
def test_every_file_is_small_and_holds_no_optimizer_or_discriminator(name):
    files = [path for path in (MODELS / name).rglob("*") if path.is_file()]
    kept = [path for path in files if not {"checkpoints", "pictures"} & set(path.parts)]
    assert {path.name for path in kept} == {"classifier.keras", "classifier.json", "ganmex.json", "generator.npz"}
    assert all(path.stat().st_size < LIMIT for path in kept)


@pytest.mark.parametrize("name", ["digits", "mnist", "apple_orange"])
def test_the_ganmex_belongs_to_the_classifier(name, recwarn):
    clf = gx.load_classifier(MODELS / name / "classifier.keras")
    gan = gx.load_ganmex(MODELS / name / "ganmex", clf)
    assert gan.generate(np.zeros((1, *clf.input_shape)), 1).shape == (1, *clf.input_shape)
    assert not [warning for warning in recwarn if issubclass(warning.category, UserWarning)]


def test_mnist_on_three_hundred_test_images(shared):
    data = gx.load_dataset(shared / "data" / "mnist.npz")
    clf = gx.load_classifier(MODELS / "mnist" / "classifier.keras")
    assert (clf.predict(data.x_test) == data.y_test).mean() >= 0.99
    found = gx.evaluate(
        clf,
        data,
        ganmex=gx.load_ganmex(MODELS / "mnist" / "ganmex", clf),
        methods=["integrated_gradients"],
        metrics=["assigned", "distance", "fid", "aopc_100", "gini"],
        steps=20,
        limit=300,
    )

    def means(metric, method=""):
        return [found[metric, method, baseline].mean for baseline in ("ganmex", "nearest", "zero")]

    assert means("assigned")[0] >= 0.98
    ganmex, nearest, _ = means("distance")
    assert ganmex <= 0.88 * nearest
    *fids, fid_of_zero = means("fid")
    assert max(fids) < fid_of_zero
    for metric in ("aopc_100", "gini"):
        ganmex, nearest, zero = means(metric, "integrated_gradients")
        assert ganmex > nearest > zero


def test_the_demonstration_takes_seconds_with_them(tmp_path, capsys):
    start = time.monotonic()
    assert main(["demo", "--pretrained", "--out", str(tmp_path)]) == 0
    assert time.monotonic() - start < 120
    pictures = {path.name for path in tmp_path.iterdir()}
    assert pictures == {"baselines.png", "methods.png", "targets.png", "table.md"}
    table = (tmp_path / "table.md").read_text()
    assert table in capsys.readouterr().out
    for name in ("zero", "maximum", "blurred", "random", "MDTS", "GANMEX"):
        assert f"| {name} |" in table
