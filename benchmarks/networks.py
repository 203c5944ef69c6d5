"""The networks and images that all contenders are given, in files that a peer can read without TensorFlow."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.case import Task
from benchmarks.layers import Layer, layers_of

SAVED = Path(__file__).resolve().parents[1] / "saved_models"
IMAGES = 256  # of every network
CLASSES = {"mnist": 10, "cifar10": 10, "mobilenet": 1000}


class Problem(NamedTuple):
    """Images with the question about each: float32 (n, h, w, c) in [0, 1], classes (n,), contrasts (n, classes)."""

    x: np.ndarray
    baseline: np.ndarray
    origin: np.ndarray
    target: np.ndarray
    contrast: np.ndarray


def prepare(name: str, folder: Path, data: Path | None, seed: int) -> None:
    """Writes NAME.keras, NAME.layers and NAME.npz, unless they are there."""
    path = folder / f"{name}.npz"
    if path.exists():
        return
    import keras

    from tf_ganmex import zoo

    keras.utils.set_random_seed(seed)
    file = SAVED / name / "classifier.keras"
    if file.exists():
        model = keras.saving.load_model(file)
    elif name == "mobilenet":
        model = keras.applications.MobileNet((224, 224, 3), weights=None)
    else:
        model = zoo.build(f"{name}_classifier", (32, 32, 3), CLASSES[name], seed=seed)
    count = 16 if name == "mobilenet" else IMAGES
    x = mnist(data, seed)[0][:count] if name == "mnist" else clouds(count, model.input_shape[1:], seed)
    if not file.exists():
        _settle_norms(model, x)
    model.save(folder / f"{name}.keras")
    layers = layers_of(model)
    (folder / f"{name}.layers").write_bytes(pickle.dumps(layers))
    origin = np.asarray(model(x)).argmax(-1)
    classes = model.output_shape[-1]
    target = (origin + np.random.default_rng(seed).integers(1, classes, len(x))) % classes
    identity = np.eye(classes, dtype=np.float32)
    arrays = Problem(x, np.roll(x, 1, 0), origin, target, identity[origin] - identity[target])
    np.savez(path, outputs=np.asarray(model(x)), **arrays._asdict())


def problem(task: Task) -> Problem:
    """The images of a task."""
    with np.load(task.folder / f"{task.network}.npz") as file:
        return Problem(*(file[name][: task.count] for name in Problem._fields))


def outputs(task: Task) -> np.ndarray:
    """What the network answers, the probabilities (n, classes)."""
    with np.load(task.folder / f"{task.network}.npz") as file:
        return file["outputs"]


def layers(folder: Path, name: str) -> list[Layer]:
    """The layers with their weights, without TensorFlow."""
    return pickle.loads((folder / f"{name}.layers").read_bytes())


def model(task: Task) -> Any:
    """The Keras model."""
    import keras

    return keras.saving.load_model(task.folder / f"{task.network}.keras")


def mnist(data: Path | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Training images (60000, 28, 28, 1) and their classes: MNIST's, or digits of 8x8 scaled up and shifted."""
    if data is not None:
        with np.load(data) as file:
            return file["x_train"][..., None].astype(np.float32) / 255, file["y_train"].astype(np.int64)
    from scipy import ndimage
    from sklearn.datasets import load_digits

    digits = load_digits()
    large = np.clip(ndimage.zoom(digits.images / 16, (1, 3.5, 3.5), order=1), 0, 1).astype(np.float32)
    rng = np.random.default_rng(seed)
    rows = rng.integers(len(large), size=60_000)
    shifts = rng.integers(-3, 4, (60_000, 2))
    shifted = (np.roll(large[row], shift, (0, 1)) for row, shift in zip(rows, shifts, strict=True))
    return np.stack(list(shifted))[..., None], digits.target[rows].astype(np.int64)


def clouds(count: int, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Smooth colored images in [0, 1], for networks whose data is not here."""
    from scipy import ndimage

    noise = np.random.default_rng(seed).normal(size=(count, *shape))
    smooth = ndimage.gaussian_filter(noise, (0, shape[0] / 16, shape[1] / 16, 0))
    low, high = smooth.min((1, 2, 3), keepdims=True), smooth.max((1, 2, 3), keepdims=True)
    return ((smooth - low) / (high - low)).astype(np.float32)


def _settle_norms(model: Any, x: np.ndarray) -> None:
    """Gives batch norms the statistics of some images; without, activations of a deep untrained network fade away."""
    import keras

    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    model(x[:16], training=True)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
