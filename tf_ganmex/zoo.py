"""The papers' classifier architectures, and a small one for images of other sizes."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from typing import Any

from tf_ganmex._backend import keras
from tf_ganmex.errors import ImageError, OptionError

__all__ = [
    "CLASSIFIERS",
    "build",
    "cifar10_classifier",
    "mnist_classifier",
    "mnist_pooling_cnn",
    "mobilenet_classifier",
    "small_cnn",
    "svhn_classifier",
]

MNIST_KERNEL = 6
MNIST_SMALLEST = 16  # two VALID 6x6 convolutions of stride 2 leave one pixel of it
MNIST_LARGEST = 48  # beyond it the flattened features make the dense layer very large
SMALL_CNN_FILTERS = (32, 64, 128, 256)
SMALL_CNN_MAP = 7  # pixels of the short side that are left to average
SVHN_LAYERS = ((32, 4), (64, 5), (128, 4))  # filters and kernel size
SVHN_SMALLEST = 28  # what three VALID convolutions of stride 2 leave a pixel of
CIFAR10_BLOCKS = (32, 64, 128, 256)
CIFAR10_SMALLEST = 16  # four times halved
POOLING_SMALLEST = 16
MOBILENET_SMALLEST = 32  # keras.applications' own limit


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
    return _dense_head(inputs, keras.layers.Flatten()(x), 256, num_classes, seed + 2, "mnist_classifier")


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


def svhn_classifier(
    input_shape: tuple[int, int, int] = (32, 32, 3), num_classes: int = 10, *, seed: int = 0
) -> keras.Model:
    """Builds the SVHN classifier of the published code, untrained.

    VALID convolutions of stride 2, 4x4 (32), 5x5 (64) and 4x4 (128), and a dense layer of 256, each with ReLU, dropout
    0.5, logits and softmax. The paper says that SVHN has the MNIST net: that is :func:`mnist_classifier` on 32x32x3.

    Args:
        input_shape: height and width of at least 28, channels; images in [0, 1].
        num_classes: at least 2.
        seed: of the initial weights and the dropout.

    Returns:
        A model from (n, h, w, c) to probabilities (n, num_classes), not compiled.

    Raises:
        ImageError: images too small.
        OptionError: fewer than two classes.

    Reference:
        Shih et al., "GANMEX", arXiv:2011.06015, the published code.
    """
    _check(input_shape, num_classes, SVHN_SMALLEST)
    x = inputs = keras.Input(input_shape)
    for index, (filters, size) in enumerate(SVHN_LAYERS):
        x = _valid_conv(x, filters, f"conv{index + 1}", seed + index, size=size)
    return _dense_head(inputs, keras.layers.Flatten()(x), 256, num_classes, seed + len(SVHN_LAYERS), "svhn_classifier")


def cifar10_classifier(
    input_shape: tuple[int, int, int] = (32, 32, 3), num_classes: int = 10, *, seed: int = 0
) -> keras.Model:
    """Builds the paper's CIFAR-10 classifier, untrained.

    Four blocks (32, 64, 128, 256 filters) of two 3x3 convolutions with ReLU, each followed by batch normalization, and
    2x2 average pooling; a dense layer of 128 with ReLU and batch normalization; logits and softmax. Convolutions pad
    to the same size; kernels start from He's uniform distribution.

    Args:
        input_shape: height and width of at least 16, channels; images in [0, 1].
        num_classes: at least 2.
        seed: of the initial weights.

    Returns:
        A model from (n, h, w, c) to probabilities (n, num_classes), not compiled.

    Raises:
        ImageError: images too small.
        OptionError: fewer than two classes.

    Reference:
        Shih et al., "GANMEX", arXiv:2011.06015, appendix A.1 ("Datasets and Classifiers").
    """
    _check(input_shape, num_classes, CIFAR10_SMALLEST)
    x = inputs = keras.Input(input_shape)
    for block, filters in enumerate(CIFAR10_BLOCKS):
        for index in range(2):
            name, initializer = f"conv{block + 1}{'ab'[index]}", keras.initializers.HeUniform(seed + 2 * block + index)
            conv = keras.layers.Conv2D(
                filters, 3, padding="same", activation="relu", kernel_initializer=initializer, name=name
            )
            x = keras.layers.BatchNormalization(name=f"{name}_norm")(conv(x))
        x = keras.layers.AveragePooling2D(2, name=f"pool{block + 1}")(x)
    initializer = keras.initializers.HeUniform(seed + 8)
    x = keras.layers.Dense(128, "relu", kernel_initializer=initializer, name="fc")(keras.layers.Flatten()(x))
    x = keras.layers.BatchNormalization(name="fc_norm")(x)
    return _with_softmax(inputs, x, num_classes, seed + 9, "cifar10_classifier")


def mnist_pooling_cnn(
    input_shape: tuple[int, int, int] = (28, 28, 1), num_classes: int = 10, *, seed: int = 0
) -> keras.Model:
    """Builds the MNIST classifier of the paper on geometrically guided maps, untrained.

    Two VALID 5x5 convolutions (32, 64), each with 2x2 max pooling and then ReLU; logits from the 1024 features that
    28x28 images leave; softmax.

    Args:
        input_shape: height and width of at least 16, channels; images in [0, 1].
        num_classes: at least 2.
        seed: of the initial weights.

    Returns:
        A model from (n, h, w, c) to probabilities (n, num_classes), not compiled.

    Raises:
        ImageError: images too small.
        OptionError: fewer than two classes.

    Reference:
        Rahman et al., "Geometrically Guided Integrated Gradients", section 4.
    """
    _check(input_shape, num_classes, POOLING_SMALLEST)
    x = inputs = keras.Input(input_shape)
    for index, filters in enumerate((32, 64)):
        name = f"conv{index + 1}"
        x = keras.layers.Conv2D(filters, 5, kernel_initializer=_glorot(seed + index), name=name)(x)
        x = keras.layers.ReLU(name=f"{name}_relu")(keras.layers.MaxPooling2D(name=f"{name}_pool")(x))
    return _with_softmax(inputs, keras.layers.Flatten()(x), num_classes, seed + 2, "mnist_pooling_cnn")


def mobilenet_classifier(
    input_shape: tuple[int, int, int] = (256, 256, 3),
    num_classes: int = 2,
    *,
    seed: int = 0,
    weights: str | os.PathLike[str] | None = None,
    alpha: float = 1.0,
    frozen: bool = True,
    pooling: str = "global",
) -> keras.Model:
    """Builds the apple2orange and BAM classifier: a MobileNet, a dense layer of 1024, dropout 0.5, logits, softmax.

    Args:
        input_shape: height and width of at least 32, 3 channels; images in [0, 1], which a first layer brings to the
            [-1, 1] that MobileNet's weights are for. As published (256, 256, 3), for BAM (128, 128, 3).
        num_classes: at least 2 (2 for apple2orange, 4 for BAM).
        seed: of the initial weights of the head and the dropout; without ``weights``, Keras draws those of MobileNet.
        weights: ``"imagenet"`` to download them, a file of them without top, or None for random ones.
        alpha: width of the MobileNet, which its weights must be of.
        frozen: whether its weights stay as they are, as published; its norms then stay in inference mode too.
        pooling: ``"global"`` average pooling (paper), or ``"flatten"`` after 2x2 average pooling (published code).

    Returns:
        A model from (n, h, w, 3) to probabilities (n, num_classes), not compiled.

    Raises:
        ImageError: images too small, or not of three channels.
        OptionError: fewer than two classes, an unknown pooling, or weights that cannot be had or do not fit.

    Reference:
        Shih et al., "GANMEX", arXiv:2011.06015, appendix A.1; Howard et al., "MobileNets", arXiv:1704.04861.
    """
    _check(input_shape, num_classes, MOBILENET_SMALLEST)
    if input_shape[2] != 3:
        raise ImageError(
            f"Expected images of three channels for MobileNet. Received: input_shape={tuple(input_shape)}. Load them "
            "with grayscale=False."
        )
    if pooling not in ("global", "flatten"):
        raise OptionError(f"Expected pooling='global' or 'flatten'. Received: pooling={pooling!r}.")
    base = _mobilenet(input_shape, weights, alpha)
    base.trainable = not frozen
    inputs = keras.Input(input_shape)
    x = keras.layers.Rescaling(2.0, -1.0, name="to_minus_one_one")(inputs)
    x = base(x, training=False) if frozen else base(x)
    if pooling == "global":
        x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    else:
        x = keras.layers.Flatten()(keras.layers.AveragePooling2D(2, name="pool")(x))
    return _dense_head(inputs, x, 1024, num_classes, seed, "mobilenet_classifier")


CLASSIFIERS: dict[str, Callable[..., keras.Model]] = {
    "mnist_classifier": mnist_classifier,
    "svhn_classifier": svhn_classifier,
    "cifar10_classifier": cifar10_classifier,
    "mobilenet_classifier": mobilenet_classifier,
    "mnist_pooling_cnn": mnist_pooling_cnn,
    "small_cnn": small_cnn,
}


def build(
    name: str, input_shape: tuple[int, int, int], num_classes: int, *, seed: int = 0, **options: Any
) -> keras.Model:
    """Builds a classifier by name, untrained.

    Args:
        name: a key of ``CLASSIFIERS``, or "auto": ``mnist_classifier`` for images of 16 to 48 pixels a side,
            ``small_cnn`` for any other.
        input_shape: height, width and channels; images in [0, 1].
        num_classes: at least 2.
        seed: of the initial weights and the dropout.
        **options: of that classifier, such as the ``weights`` of ``mobilenet_classifier``.

    Returns:
        A model from (n, h, w, c) to probabilities (n, num_classes), not compiled.

    Raises:
        OptionError: no classifier of that name, an option that it does not have, or fewer than two classes.
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
    unknown = options.keys() - inspect.signature(CLASSIFIERS[name]).parameters.keys()
    if unknown:
        raise OptionError(f"Expected an option of {name}. Received: {', '.join(sorted(unknown))}. See its docstring.")
    return CLASSIFIERS[name](input_shape, num_classes, seed=seed, **options)


def _glorot(seed: int) -> Any:
    return keras.initializers.GlorotUniform(seed=seed)


def _mobilenet(input_shape: tuple[int, int, int], weights: str | os.PathLike[str] | None, alpha: float) -> keras.Model:
    source = weights if weights in (None, "imagenet") else os.path.expanduser(weights)
    if source not in (None, "imagenet") and not os.path.isfile(source):
        raise OptionError(f"Expected a file of MobileNet weights. Received: weights={source!r}, no such file.")
    try:
        return keras.applications.MobileNet(input_shape, alpha=alpha, include_top=False, weights=source)
    except Exception as error:  # Keras's errors of downloads and of files that do not fit share no base
        raise OptionError(
            f"Expected MobileNet weights of alpha={alpha:g} without top. Received: weights={source!r}, which failed "
            f"with {str(error).splitlines()[0]!r}. Without a network, copy mobilenet_1_0_224_tf_no_top.h5 from one "
            "that has it (keras.applications names the address) and pass weights='FILE'."
        ) from error


def _dense_head(inputs: Any, features: Any, units: int, num_classes: int, seed: int, name: str) -> keras.Model:
    x = keras.layers.Dense(units, "relu", kernel_initializer=_glorot(seed), name="fc")(features)
    x = keras.layers.Dropout(0.5, seed=seed + 1)(x)
    return _with_softmax(inputs, x, num_classes, seed + 2, name)


def _valid_conv(x: Any, filters: int, name: str, seed: int, *, size: int = MNIST_KERNEL) -> Any:
    initializer = _glorot(seed)
    return keras.layers.Conv2D(filters, size, 2, "valid", activation="relu", kernel_initializer=initializer, name=name)(
        x
    )


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
