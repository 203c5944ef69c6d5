"""Training a classifier: recipes, what it may look at, going on after an interruption, and the facts beside it."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

import tf_ganmex as gx
from tf_ganmex._backend import keras
from tf_ganmex.datasets import Dataset
from tf_ganmex.errors import LabelError, OptionError
from tf_ganmex.training import ClassifierRecipe, save_classifier, train_classifier
from tf_ganmex.training.classifier import class_weights, split_rows


@pytest.fixture(scope="module")
def data():
    """Three unequal classes, told by the brightest third of the image."""
    rng = np.random.default_rng(0)
    y = rng.choice(3, 260, p=[0.6, 0.3, 0.1])
    x = rng.random((260, 8, 12, 1), np.float32) * 0.4
    for image, label in zip(x, y, strict=True):
        image[:, 4 * label : 4 * label + 4] += 0.6
    return Dataset(x[:200], y[:200], x[200:], y[200:], class_names=["left", "middle", "right"], name="thirds")


def train(data, recipe=None, **options):
    return train_classifier(
        data, "small_cnn", recipe=recipe or ClassifierRecipe(epochs=3, batch_size=16), verbose=0, **options
    )


class Stop(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise KeyboardInterrupt


def weights(model):
    return [w for w in model.get_weights() if w.dtype == np.float32]


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", "sgd"])
def test_it_learns(data, optimizer):
    recipe = ClassifierRecipe(
        epochs=6, batch_size=16, optimizer=optimizer, learning_rate=0.01 if optimizer == "sgd" else 1e-3
    )
    model = train(data, recipe)
    assert (model.predict(data.x_test, verbose=0).argmax(-1) == data.y_test).mean() > 0.8


def test_the_test_images_are_not_looked_at(data):
    blind = dataclasses.replace(data, x_test=data.x_test[:1], y_test=data.y_test[:1])
    for one, two in zip(weights(train(data)), weights(train(blind)), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("augmentation", [None, "objects"])
def test_interrupted_and_gone_on_ends_with_the_same_weights(data, tmp_path, augmentation):
    recipe = ClassifierRecipe(epochs=3, batch_size=32, augmentation=augmentation)
    whole = train(data, recipe)
    with pytest.raises(KeyboardInterrupt):
        train(data, recipe, directory=tmp_path / "state", callbacks=[Stop(2)])
    seen = []
    count = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: seen.append(epoch))
    again = train(data, recipe, directory=tmp_path / "state", callbacks=[count])
    assert seen == [2]
    for one, two in zip(weights(whole), weights(again), strict=True):
        np.testing.assert_array_equal(one, two)
    assert not (tmp_path / "state").exists() or not list((tmp_path / "state").iterdir())


def test_validation_images_are_a_fraction_of_each_class_and_not_trained_on(data):
    rows, kept = split_rows(data.y_train, 0.25, seed=1)
    assert sorted([*rows, *kept]) == list(range(200))
    for c in range(3):
        assert (data.y_train[kept] == c).sum() == round(0.25 * (data.y_train == c).sum())
    assert not np.array_equal(kept, split_rows(data.y_train, 0.25, seed=2)[1])
    assert len(split_rows(data.y_train, 0.0, seed=0)[1]) == 0


def test_class_weights_are_inverse_and_average_to_one(data):
    found = class_weights(data.y_train, 3)
    counts = np.bincount(data.y_train)
    assert found[2] / found[0] == pytest.approx(counts[0] / counts[2])
    assert np.mean([found[label] for label in data.y_train]) == pytest.approx(1)
    with pytest.raises(LabelError, match="none of class 3"):
        class_weights(data.y_train, 4)


def test_patience_stops_and_takes_the_best_weights(data):
    seen = []
    log = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs["val_loss"]))
    recipe = ClassifierRecipe(epochs=40, batch_size=16, learning_rate=0.02, validation=0.2, patience=2, decay="plateau")
    model = train(data, recipe, callbacks=[log])
    assert len(seen) < 40
    _, kept = split_rows(data.y_train, 0.2, seed=0)
    loss, _ = model.evaluate(data.x_train[kept], data.y_train[kept], verbose=0)
    assert loss == pytest.approx(min(seen), rel=1e-4)


def test_half_precision_gives_a_float32_model(data):
    model = train(data, ClassifierRecipe(epochs=4, batch_size=16, dtype="mixed_bfloat16"))
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    assert (model.predict(data.x_test, verbose=0).argmax(-1) == data.y_test).mean() > 0.7


def test_the_facts_beside_a_model(data, tmp_path):
    model = train(data)
    facts = save_classifier(model, data, tmp_path / "model.keras", {"seed": 0})
    assert json.loads((tmp_path / "model.json").read_text()) == facts
    predicted = model.predict(data.x_test, verbose=0).argmax(-1)
    matrix = np.array(facts["confusion_matrix"])
    assert matrix.sum() == 60 and (matrix.sum(1) == np.bincount(data.y_test, minlength=3)).all()
    assert matrix[0, 1] == ((data.y_test == 0) & (predicted == 1)).sum()
    assert facts["test_accuracy"] == pytest.approx((predicted == data.y_test).mean(), abs=1e-4)
    assert facts["test_accuracy_per_class"][0] == pytest.approx((predicted == 0)[data.y_test == 0].mean(), abs=1e-4)


def test_a_directory_becomes_a_savedmodel_with_the_same_scores(data, tmp_path):
    model = train(data)
    save_classifier(model, data, tmp_path / "model", {})
    save_classifier(model, data, tmp_path / "model", {})
    assert {path.name for path in tmp_path.iterdir()} == {"model", "model.json"}
    clf = gx.load_classifier(tmp_path / "model", class_names=data.class_names)
    np.testing.assert_allclose(clf.probabilities(data.x_test), model.predict(data.x_test, verbose=0), atol=1e-5)


def test_the_published_recipe():
    recipe = ClassifierRecipe.published(epochs=9)
    assert (recipe.optimizer, recipe.batch_size, recipe.decay, recipe.patience, recipe.epochs) == (
        "rmsprop", 32, "plateau", 20, 9,
    )  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": "lion"},
        {"decay": "linear"},
        {"augmentation": "heavy"},
        {"validation": 1.0},
        {"patience": 3},
        {"decay": "plateau"},
        {"dtype": "float16"},
    ],
)
def test_recipes_that_cannot_be_followed(options):
    with pytest.raises(OptionError, match="Expected"):
        ClassifierRecipe(**options)
