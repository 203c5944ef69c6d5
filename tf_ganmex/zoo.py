"""The papers' classifier architectures, and a small one for images of other sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tf_ganmex._backend import keras
from tf_ganmex.errors import ImageError, OptionError

__all__ = ["CLASSIFIERS", "build", "mnist_classifier", "small_cnn"]

MNIST_KERNEL = 6
MNIST_SMALLEST = 16  # two VALID 6x6 convolutions of stride 2 leave one pixel of it
MNIST_LARGEST = 48  # beyond it the flattened features make the dense layer very large
SMALL_CNN_FILTERS = (32, 64, 128, 256)
SMALL_CNN_MAP = 7  # pixels of the short side that are left to average


def mnist_classifier(
    input_shape: tuple[int, int, int] = (28, 28, 1), num_classes: int = 10, *, seed: int = 0
) -> keras.Model:
    """Builds the paper's MNIST classifier, untrained.

    Two VALID 6x6 convolutions of stride 2 (32 and 64 filters) and a dense layer of 256, each with ReLU, dropout 0.5,
    a dense layer to the logits, and softmax as a layer of its own, so that the logits are the layer before it.

    Args:
        input_shape: height and width of at least 16, channels; images in [0, 1].
        num_classes: at least 2.
        seed: of the initial weights and the dropout.

    Returns:
        A model from (n, h, w, c) to probabilities (n, num_classes), not compiled.

    Raises:
        ImageError: images too small.
        OptionError: fewer than two classes.

    Reference:
        Shih et al., "GANMEX", arXiv:2011.06015, appendix A.1 ("Datasets and Classifiers").
    """
    _check(input_shape, num_classes, MNIST_SMALLEST)
    inputs = keras.Input(input_shape)
    x = _valid_conv(inputs, 32, "conv1", seed)
    x = _valid_conv(x, 64, "conv2", seed + 1)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(256, "relu", kernel_initializer=_glorot(seed + 2), name="fc")(x)
    x = keras.layers.Dropout(0.5, seed=seed + 3)(x)
    return _with_softmax(inputs, x, num_classes, seed + 4, "mnist_classifier")


def small_cnn(input_shape: tuple[int, int, int], num_classes: int, *, seed: int = 0) -> keras.Model:
    """Builds a convolutional classifier for images of any size, untrained.

    A 3x3 convolution, then 3x3 convolutions of stride 2 until the short side is 4 to 7 pixels, each with batch
    normalization and ReLU (32, 64, 128, then 256 filters); global average pooling; a dense layer to the logits;
    softmax as a layer of its own.

    Args:
        input_shape: height, width and channels; images in [0, 1].
        num_classes: at least 2.
        seed: of the initial weights.

    Returns:
        A model from (n, h, w, c) to probabilities (n, num_classes), not compiled.

    Raises:
        ImageError: an input shape that is none.
        OptionError: fewer than two classes.

    Reference:
        Springenberg et al., arXiv:1412.6806, section 2 (strides instead of pooling); Lin et al., arXiv:1312.4400,
        section 3.2 (global average pooling); Ioffe and Szegedy, arXiv:1502.03167 (batch normalization).
    """
    _check(input_shape, num_classes, 1)
    inputs = keras.Input(input_shape)
    x = _normalized_conv(inputs, SMALL_CNN_FILTERS[0], 1, "conv1", seed)
    layer = 1
    while min(x.shape[1:3]) > SMALL_CNN_MAP:
        filters = SMALL_CNN_FILTERS[min(layer, len(SMALL_CNN_FILTERS) - 1)]
        x = _normalized_conv(x, filters, 2, f"conv{layer + 1}", seed + layer)
        layer += 1
    x = keras.layers.GlobalAveragePooling2D()(x)
    return _with_softmax(inputs, x, num_classes, seed + layer, "small_cnn")


CLASSIFIERS: dict[str, Callable[..., keras.Model]] = {"mnist_classifier": mnist_classifier, "small_cnn": small_cnn}


def build(name: str, input_shape: tuple[int, int, int], num_classes: int, *, seed: int = 0) -> keras.Model:
    """Builds a classifier by name, untrained.

    Args:
        name: a key of ``CLASSIFIERS``, or "auto": ``mnist_classifier`` for images of 16 to 48 pixels a side,
            ``small_cnn`` for any other.
        input_shape: height, width and channels; images in [0, 1].
        num_classes: at least 2.
        seed: of the initial weights and the dropout.

    Returns:
        A model from (n, h, w, c) to probabilities (n, num_classes), not compiled.

    Raises:
        OptionError: no classifier of that name, or fewer than two classes.
        ImageError: an input shape that the classifier cannot take.
    """
    _check(input_shape, num_classes, 1)
    if name == "auto":
        sides = input_shape[:2]
        fits = min(sides) >= MNIST_SMALLEST and max(sides) <= MNIST_LARGEST
        name = "mnist_classifier" if fits else "small_cnn"
    if name not in CLASSIFIERS:
        raise OptionError(
            f"Expected one of {', '.join(CLASSIFIERS)}, or auto. Received: name={name!r}. Check the spelling."
        )
    return CLASSIFIERS[name](input_shape, num_classes, seed=seed)


def _glorot(seed: int) -> Any:
    return keras.initializers.GlorotUniform(seed=seed)


def _valid_conv(x: Any, filters: int, name: str, seed: int) -> Any:
    initializer = _glorot(seed)
    return keras.layers.Conv2D(
        filters, MNIST_KERNEL, 2, "valid", activation="relu", kernel_initializer=initializer, name=name
    )(x)


def _normalized_conv(x: Any, filters: int, strides: int, name: str, seed: int) -> Any:
    initializer = keras.initializers.HeNormal(seed=seed)
    x = keras.layers.Conv2D(filters, 3, strides, "same", use_bias=False, kernel_initializer=initializer, name=name)(x)
    # 0.9, not Keras's 0.99: a user's data set may train for a few hundred steps only.
    x = keras.layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def _with_softmax(inputs: Any, features: Any, num_classes: int, seed: int, name: str) -> keras.Model:
    logits = keras.layers.Dense(num_classes, kernel_initializer=_glorot(seed), name="logits")(features)
    return keras.Model(inputs, keras.layers.Softmax(name="softmax")(logits), name=name)


def _check(input_shape: tuple[int, int, int], num_classes: int, smallest: int) -> None:
    if len(input_shape) != 3 or min(input_shape[:2]) < smallest or input_shape[2] < 1:
        raise ImageError(
            f"Expected input_shape (height, width, channels) of at least {smallest} pixels a side. "
            f"Received: input_shape={tuple(input_shape)}. The smallest images go with small_cnn."
        )
    if num_classes < 2:
        raise OptionError(f"Expected at least two classes. Received: num_classes={num_classes}. Add a class.")
