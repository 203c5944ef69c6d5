"""The figure of all baselines: its cells, and the whole way on the models that come with the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

import tf_ganmex as gx
from tf_ganmex.reproduce import baselines_figure

MODELS = Path(__file__).parents[1] / "saved_models" / "mnist"


def test_three_rows_an_image_and_maps_of_the_right_baseline():
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(16, 3)).astype(np.float32)
    clf = gx.load_classifier(lambda x: tf.reshape(x, (-1, 16)) @ weights, input_shape=(4, 4, 1), output="logits")
    x, origin, target = rng.random((2, 4, 4, 1), np.float32), np.array([0, 2]), np.array([1, 0])
    compared = {"zero": gx.baselines.zero(), "EG": None}
    samples = rng.random((2, 5, 4, 4, 1)).astype(np.float32)
    rows, titles = baselines_figure.grid(clf, x, origin, target, compared, samples, steps=20, seed=0)
    assert len(rows) == len(titles) == 6 and all(len(row) == 3 for row in rows)
    assert titles[:3] == ["0, not 1", "IG", "DeepLIFT"]
    assert rows[0][2] is None and rows[2][2] is None, "EG has many baselines, and no DeepLIFT"
    expected = gx.attributions.integrated_gradients(clf, x, origin, target, np.zeros_like(x), steps=20)
    np.testing.assert_allclose(rows[4][1][1], expected[1], atol=1e-6)


def test_the_picture_of_the_models_in_the_package(tmp_path, capsys):
    arguments = [MODELS / "classifier.keras", MODELS / "ganmex", "digits", "--count", "2", "--steps", "4"]
    baselines_figure.main([*map(str, arguments), "--out", str(tmp_path / "figure.png")])
    picture = Image.open(tmp_path / "figure.png")
    assert picture.width > picture.height > 400
