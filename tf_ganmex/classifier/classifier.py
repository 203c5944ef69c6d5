"""The classifier that everything else asks for scores."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from tf_ganmex.classifier.checks import check_different, check_images, check_labels
from tf_ganmex.classifier.graph import FrozenGraph
from tf_ganmex.classifier.head import Head
from tf_ganmex.errors import ModelError, OptionError

SCORES = ("probability", "logit")
_BATCH = 256


class Engine(Protocol):
    """What computes the raw outputs: a :class:`FrozenGraph` or an :class:`OpaqueFunction`."""

    shape: tuple[int | None, ...]
    dtype: tf.DType
    classes: int
    kernels: dict[Any, Callable]

    def forward(self, x: tf.Tensor, weights: tuple[tf.Tensor, ...]) -> tf.Tensor:
        """Raw outputs (n, classes) for images (n, h, w, c)."""

    def compile(self, function: Callable) -> Callable:
        """``function`` as a graph where the engine can be traced."""


class OpaqueFunction:
    """A callable that cannot be traced: it is called eagerly, as it is, and its graph is not known."""

    def __init__(self, function: Callable, shape: tuple[int | None, ...], dtype: tf.DType, classes: int):
        self.function = function
        self.shape = shape
        self.dtype = dtype
        self.classes = classes
        self.kernels: dict[Any, Callable] = {}

    def forward(self, x: tf.Tensor, weights: tuple[tf.Tensor, ...]) -> tf.Tensor:
        """The callable's own outputs; ModelError inside a TensorFlow function."""
        del weights
        if not tf.executing_eagerly():
            raise ModelError(
                "Expected a classifier that can be part of a TensorFlow graph. Received: a callable that TensorFlow "
                "cannot trace. Write it with TensorFlow operations only, or pass the Keras model or SavedModel."
            )
        return tf.cast(tf.reshape(self.function(x), (-1, self.classes)), self.dtype)

    def compile(self, function: Callable) -> Callable:
        """Nothing to compile."""
        return function


class Classifier:
    """A trained classifier S: images in its value range to logits and probabilities.

    Made by :func:`tf_ganmex.load_classifier`. Its weights are a copy taken when it was loaded and never train.

    Attributes:
        value_range: lowest and highest value of the images it was trained on.
        head: how its raw outputs become logits and probabilities.
        ends_in_activation: whether the model itself returns probabilities, so that its graph was cut before them.
        keras_model: the Keras model it was made of, where there is one.
    """

    def __init__(
        self,
        engine: Engine,
        weights: tuple[tf.Tensor, ...],
        head: Head,
        *,
        value_range: tuple[float, float],
        class_names: Sequence[str],
        ends_in_activation: bool = False,
        keras_model: Any = None,
    ):
        self.engine = engine
        self.head = head
        self.value_range = value_range
        self.ends_in_activation = ends_in_activation
        self.keras_model = keras_model
        self._weights = weights
        self._class_names = tuple(class_names)

    def __repr__(self) -> str:
        """What it takes and how many classes it knows."""
        if "engine" not in vars(self):
            return "Classifier(input_shape=unknown)"
        return f"Classifier(input_shape={self.input_shape}, num_classes={self.num_classes})"

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """(h, w, c) of an image; None where any size will do."""
        return self.engine.shape

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return self.head.num_classes(self.engine.classes)

    @property
    def class_names(self) -> tuple[str, ...]:
        """A name for every class."""
        return self._class_names

    @property
    def dtype(self) -> np.dtype:
        """The floating type in which maps are computed: float64 for a float64 model, float32 otherwise."""
        return np.dtype(np.float64 if self.engine.dtype == tf.float64 else np.float32)

    @property
    def graph(self) -> FrozenGraph:
        """The frozen graph, for methods that rewrite it.

        Raises:
            ModelError: if the classifier is a callable that could not be traced.
        """
        if isinstance(self.engine, FrozenGraph):
            return self.engine
        raise ModelError(
            "Expected a classifier whose graph is known. Received: a callable that TensorFlow cannot trace. Use a "
            "method that needs no graph (gradient, integrated_gradients, expected_gradients, occlusion), or pass the "
            "Keras model or SavedModel."
        )

    @property
    def weights(self) -> dict[str, np.ndarray]:
        """The weights by name, in the model's order."""
        return {weight.name: value.numpy() for weight, value in zip(self.graph.weights, self._weights, strict=True)}

    @property
    def weight_tensors(self) -> tuple[tf.Tensor, ...]:
        """The weights as they are fed to the graph."""
        return self._weights

    @property
    def fingerprint(self) -> str:
        """A hash of the weights that does not depend on the file format they came from.

        A callable without variables is told by the constants in its graph; one that cannot be traced has no hash ("").
        """
        if isinstance(self.engine, OpaqueFunction):
            return ""
        values = [weight.numpy() for weight in self._weights] or self.graph.constants()
        digests = sorted(hashlib.sha256(value.tobytes()).hexdigest() for value in values)
        return hashlib.sha256("".join(digests).encode()).hexdigest()[:16]

    def with_weights(self, weights: Mapping[str, np.ndarray]) -> Classifier:
        """The same classifier with other values for some of its weights, on the same compiled graph.

        Args:
            weights: values by the names in :attr:`weights`; a name left out keeps its value.

        Raises:
            OptionError: for an unknown name or a value of another shape.
        """
        mine = self.weights
        for name, value in weights.items():
            if name not in mine or np.shape(value) != mine[name].shape:
                wanted = f"shape {mine[name].shape}" if name in mine else f"one of the names {list(mine)}"
                raise OptionError(
                    f"Expected {wanted}. Received: weight {name!r} of shape {np.shape(value)}. See clf.weights."
                )
        values = tuple(tf.constant(weights.get(name, mine[name]), mine[name].dtype) for name in mine)
        return Classifier(
            self.engine,
            values,
            self.head,
            value_range=self.value_range,
            class_names=self._class_names,
            ends_in_activation=self.ends_in_activation,
        )

    def logits(self, x: Any) -> np.ndarray:
        """Logits (n, classes) of images (n, h, w, c) in the value range."""
        return self._batched(x, "logit")

    def probabilities(self, x: Any) -> np.ndarray:
        """Probabilities (n, classes) of images (n, h, w, c) in the value range."""
        return self._batched(x, "probability")

    def predict(self, x: Any) -> np.ndarray:
        """The class of the highest score (n,) for images (n, h, w, c)."""
        return self.logits(x).argmax(-1)

    def score_delta(self, x: Any, origin: Any, target: Any = None, score: str = "probability") -> np.ndarray:
        """The score delta that is explained: S_origin(x) − S_target(x) (Shrikumar et al. 2017; GANMEX, section 2.3).

        Args:
            x: images (n, h, w, c) in the value range.
            origin: class or classes (n,) to explain.
            target: class or classes (n,) to compare with; None for S_origin alone (one-vs-all).
            score: ``"probability"`` or ``"logit"``.

        Returns:
            Score deltas (n,).
        """
        scores = self._batched(x, check_score(score))
        contrast = self.contrast(origin, target, len(scores))
        return (scores * contrast).sum(-1)

    def contrast(self, origin: Any, target: Any, count: int) -> np.ndarray:
        """The weights (count, classes) with which a score delta sums the scores: +1 at origin, −1 at target."""
        identity = np.eye(self.num_classes, dtype=self.dtype)
        origin = check_labels(origin, count, self.num_classes, name="origin")
        if target is None:
            return identity[origin]
        target = check_labels(target, count, self.num_classes, name="target")
        check_different(origin, target)
        return identity[origin] - identity[target]

    def check_images(self, x: Any) -> np.ndarray:
        """``x`` as a floating array (n, h, w, c); ImageError if it does not fit this classifier."""
        return check_images(x, self.input_shape, self.value_range, self.dtype)

    def logits_tensor(self, x: tf.Tensor) -> tf.Tensor:
        """Logits of an image tensor, differentiable and unchecked: for use inside TensorFlow functions."""
        return self.head.logits(self.engine.forward(x, self._weights))

    def scores_tensor(self, x: tf.Tensor, weights: tuple[tf.Tensor, ...], score: str) -> tf.Tensor:
        """Scores of an image tensor with the weights given, differentiable and unchecked."""
        return self.head.scores(self.engine.forward(x, weights), score)

    def kernel(self, key: Hashable, build: Callable[[], Callable]) -> Callable:
        """The compiled function called ``key``, built at first use and shared by all classifiers on the same graph."""
        key = (key, self.head)
        if key not in self.engine.kernels:
            self.engine.kernels[key] = self.engine.compile(build())
        return self.engine.kernels[key]

    def _batched(self, x: Any, score: str) -> np.ndarray:
        x = self.check_images(x)
        # No kernel: the engine takes any number of images, a kernel would be traced anew for each.
        batches = (tf.constant(x[start : start + _BATCH]) for start in range(0, len(x), _BATCH))
        return np.concatenate([self.scores_tensor(batch, self._weights, score).numpy() for batch in batches])


class DeferredClassifier(Classifier):
    """A callable that does not say what it takes: it becomes a classifier when it sees its first images."""

    def __init__(self, resolve: Callable[[tuple[int, ...], tf.DType], Classifier], value_range: tuple[float, float]):
        self._resolve = resolve
        self.value_range = value_range

    def __getattr__(self, name: str) -> Any:
        if name in {"engine", "head", "ends_in_activation", "keras_model", "_weights", "_class_names"}:
            raise ModelError(
                "Expected a classifier that knows its input shape. Received: a callable that has not seen an image. "
                "Pass input_shape=(h, w, c) to load_classifier, or give it images first (clf.logits(x))."
            )
        raise AttributeError(name)

    def check_images(self, x: Any) -> np.ndarray:
        """As for any classifier; the first images say what the callable takes."""
        if "engine" not in self.__dict__:
            dtype = tf.float64 if getattr(x, "dtype", None) in (np.float64, tf.float64) else tf.float32
            array = check_images(x, (None, None, None), self.value_range, dtype.as_numpy_dtype)
            self.__dict__.update(self._resolve(array.shape[1:], dtype).__dict__)
        return super().check_images(x)


def check_score(score: str) -> str:
    """``score``, if it is a known one."""
    if score not in SCORES:
        raise OptionError(f"Expected score to be one of {SCORES}. Received: score={score!r}. Choose one of them.")
    return score
