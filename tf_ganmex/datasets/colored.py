"""Grey images turned to red, green or blue ones, such as coloured MNIST."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tf_ganmex.datasets.dataset import Dataset
from tf_ganmex.draws import image_generator
from tf_ganmex.errors import ImageError, OptionError

__all__ = ["COLORS", "LABELS", "RULES", "colored"]

COLORS = ("red", "green", "blue")  # in the order of the channels
LABELS = ("class", "color")
RULES = ("published", "random")


def colored(data: Dataset, *, labels: str = "class", rule: str = "published", seed: int = 0) -> Dataset:
    """Puts every grey image into one of three colour channels; the other two are black.

    The colour of an image depends on its own pixels only, not on its place, its split or the other images.

    Args:
        data: grey images, shape (n, h, w, 1).
        labels: ``"class"``: as they are in ``data``; ``"color"``: 0 red, 1 green, 2 blue.
        rule: ``"published"``, as the GANMEX code does: ((sum of the uint8 pixels) mod 256) mod 3, where a pixel x is
            round(255·x), halves to even (exact for images that came as uint8), and the sum wraps as a uint8 sum does;
            ``"random"``, as the paper says: uniform, keyed by ``seed`` and the image.
        seed: of the rule ``"random"``.

    Returns:
        The same images in the same order, shape (n, h, w, 3), called ``colored_NAME``, with the options in
        parentheses where they are not the defaults.

    Raises:
        ImageError: images of more or fewer channels than one.
        OptionError: other ``labels`` or another ``rule``.

    Reference:
        Shih et al., "GANMEX", arXiv:2011.06015, appendix D ("Ablation Studies").
    """
    _check(data, labels, rule)
    colors = {split: _colors(getattr(data, f"x_{split}"), rule, seed) for split in ("train", "test")}
    painted = replace(
        data,
        x_train=_paint(data.x_train, colors["train"]),
        x_test=_paint(data.x_test, colors["test"]),
        name=_name(data.name, labels, rule, seed),
    )
    if labels == "class":
        return painted
    return replace(painted, y_train=colors["train"], y_test=colors["test"], class_names=list(COLORS))


def _check(data: Dataset, labels: str, rule: str) -> None:
    if data.image_shape[2] != 1:
        raise ImageError(
            f"Expected grey images, of one channel. Received: {data.name!r} with images of shape {data.image_shape}. "
            "Take a grey dataset (mnist, not colored_mnist), or load this one with grayscale=True."
        )
    for option, value, known in (("labels", labels, LABELS), ("rule", rule, RULES)):
        if value not in known:
            choices = " or ".join(map(repr, known))
            raise OptionError(f"Expected {option} as {choices}. Received: {option}={value!r}. Try {known[0]!r}.")


def _colors(images: np.ndarray, rule: str, seed: int) -> np.ndarray:
    """The colour of every image, int64 in 0 .. 2."""
    if rule == "random":
        draws = [image_generator(image, seed, "color").integers(len(COLORS)) for image in images]
        return np.array(draws, np.int64)
    # An image at a time: the whole of MNIST would take two more copies.
    sums = [np.rint(255 * image).astype(np.uint8).sum(dtype=np.uint8) for image in images]
    return np.array(sums, np.int64) % len(COLORS)


def _paint(images: np.ndarray, colors: np.ndarray) -> np.ndarray:
    painted = np.zeros((*images.shape[:3], len(COLORS)), np.float32)
    painted[np.arange(len(images)), :, :, colors] = images[..., 0]
    return painted


def _name(name: str, labels: str, rule: str, seed: int) -> str:
    """So that two reports of one name are about the same data."""
    options = ["color labels"] if labels == "color" else []
    options += [f"random, seed {seed}"] if rule == "random" else []
    return f"colored_{name}" + (f" ({'; '.join(options)})" if options else "")
