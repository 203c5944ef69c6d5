"""``load_classifier``: from any source to a :class:`Classifier`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tf_ganmex.classifier import sources, trust
from tf_ganmex.classifier.classifier import Classifier, DeferredClassifier, Engine, OpaqueFunction
from tf_ganmex.classifier.graph import FrozenGraph, class_count, freeze
from tf_ganmex.classifier.head import Head, Kind, Raw, final_activation
from tf_ganmex.errors import ModelError, OptionError

OUTPUTS = ("auto", "logits", "probabilities", "multilabel")
_PROBES = 4
_PROBE_TOLERANCE = 1e-3  # half-precision models agree with their own logits to this


def load_classifier(
    source: Any,
    output: str = "auto",
    value_range: tuple[float, float] = (0.0, 1.0),
    class_names: Sequence[str] | None = None,
    signature: str | None = None,
    *,
    input_shape: tuple[int, int, int] | None = None,
    trusted: bool = False,
) -> Classifier:
    """Makes a :class:`Classifier` of any trained Keras or TensorFlow image classifier.

    The model's inference graph is frozen; its weights are copied and fed to it, so nothing that happens to the model
    afterwards changes the classifier. Logits are found behind a final softmax or sigmoid.

    Args:
        source: path of a ``.keras`` file (Keras 3 or 2), a ``.h5`` file or a SavedModel directory (Keras 2, Keras 3
            ``export``, TF1 Estimator); a ``keras.Model``; a ``tf_keras`` model; or a differentiable callable from an
            image tensor (n, h, w, c) to a tensor (n, classes).
        output: what the model returns. ``"auto"`` finds out; ``"logits"`` and ``"probabilities"`` say so;
            ``"multilabel"`` for independent labels (one sigmoid per class). One sigmoid unit z becomes two classes
            with logits (0, z).
        value_range: lowest and highest value of the images that the model was trained on.
        class_names: a name for each class; default ``"0"``, ``"1"``, ...
        signature: which signature of a SavedModel, ``"NAME"`` or ``"NAME:OUTPUT"`` where it has several outputs.
        input_shape: (h, w, c), where the model leaves it open.
        trusted: read a file even though it runs code or touches files when loaded or called (Lambda layers,
            ``py_function``, file ops).

    Returns:
        The classifier.

    Raises:
        ModelError: if the source is no such model.
        SignatureError: if a SavedModel needs ``signature`` or has none of that name.
        UntrustedModelError: if the file carries code and ``trusted`` is False.
        OptionError: for an option with an impossible value.
    """
    _check_options(output, value_range, input_shape)
    low, high = map(float, value_range)

    def finish(engine: Engine, weights: tuple[tf.Tensor, ...], keras_model: Any = None) -> Classifier:
        cut, head = _find_head(engine, weights, output, value_range)
        return Classifier(
            cut,
            weights,
            head,
            value_range=(low, high),
            class_names=_check_class_names(class_names, head.num_classes(engine.classes)),
            ends_in_activation=cut is not engine or head.raw == "probabilities",
            keras_model=keras_model,
        )

    if isinstance(source, str | os.PathLike):
        traced = sources.trace_file(source, signature, input_shape, trusted=trusted)
        graph, weights = _freeze(traced)
        if not trusted:
            trust.check_graph(graph.graph_def, str(source))
        return finish(graph, weights, traced.owner if sources.is_keras_model(traced.owner) else None)
    if signature is not None:
        raise OptionError(f"signature= names a signature of a SavedModel directory. Received: source={source!r}.")
    if sources.is_keras_model(source):
        return finish(*_freeze(sources.trace_model(source, input_shape)), source)
    if not callable(source):
        raise ModelError(
            "Expected a .keras or .h5 file, a SavedModel directory, a Keras model, or a callable tensor -> tensor. "
            f"Received: source of type {type(source).__name__}."
        )
    shape = input_shape or sources.callable_shape(source)
    if shape is None:
        return DeferredClassifier(lambda s, dtype: finish(*_callable_engine(source, s, dtype)), (low, high))
    return finish(*_callable_engine(source, shape, tf.float32))


def _check_options(output: str, value_range: Sequence[float], input_shape: Sequence[int] | None) -> None:
    if output not in OUTPUTS:
        raise OptionError(f"Expected output to be one of {OUTPUTS}. Received: output={output!r}.")
    if len(value_range) != 2 or not value_range[0] < value_range[1]:
        raise OptionError(f"Expected value_range=(low, high) with low < high. Received: value_range={value_range}.")
    if input_shape is not None and (len(input_shape) != 3 or min(input_shape) < 1):
        raise OptionError(f"Expected input_shape=(h, w, c). Received: input_shape={input_shape}.")


def _check_class_names(names: Sequence[str] | None, classes: int) -> list[str]:
    if names is None:
        return [str(index) for index in range(classes)]
    if isinstance(names, str) or len(names) != classes:
        raise OptionError(f"Expected {classes} class names, one per class. Received: class_names={names!r}.")
    return [str(name) for name in names]


def _freeze(traced: sources.Traced) -> tuple[FrozenGraph, tuple[tf.Tensor, ...]]:
    shape = traced.image.shape
    if shape.rank != 4 or shape[-1] is None:
        raise ModelError(
            f"Expected a model of images (n, h, w, c). Received: input shape={shape}. Put a layer or callable in front "
            "that takes images, and pass input_shape=(h, w, c) where the model leaves sizes open."
        )
    return freeze(traced.concrete, traced.image, traced.output)


def _callable_engine(function: Callable, shape: tuple, dtype: tf.DType) -> tuple[Engine, tuple]:
    try:
        return _freeze(sources.trace_callable(function, tf.TensorSpec((None, *shape), dtype), owner=function))
    except ModelError:
        raise
    except Exception:  # whatever a callable raises under tracing, calling it may still work
        return _opaque_engine(function, shape, dtype), ()


def _opaque_engine(function: Callable, shape: tuple, dtype: tf.DType) -> OpaqueFunction:
    probe = tf.zeros((1, *(size or 32 for size in shape)), dtype)
    try:
        result = tf.convert_to_tensor(function(probe))
    except Exception as error:
        raise ModelError(
            f"Expected a callable from images (n, h, w, c) to scores (n, classes). Received: {function!r}, which fails "
            f"on a tensor of shape {tuple(probe.shape)}: {error}"
        ) from error
    return OpaqueFunction(function, tuple(shape), dtype, class_count(result))


# --- what the outputs are ---------------------------------------------------------------------------------------------


def _find_head(
    engine: Engine, weights: tuple[tf.Tensor, ...], output: str, value_range: Sequence[float]
) -> tuple[Engine, Head]:
    """Cuts the graph before a final softmax or sigmoid and says how the outputs there become scores."""
    if output == "logits":
        return engine, Head(_kind("logits", engine.classes, None), "logits")
    found = final_activation(engine) if isinstance(engine, FrozenGraph) else None
    if isinstance(engine, FrozenGraph) and found is not None:
        activation, before = found
        cut = engine.with_output(before, engine.classes)
        head = Head(_kind(output, engine.classes, activation), "logits")
        if _agree(engine, cut, weights, activation, value_range):
            return cut, head
    raw: Raw = "probabilities" if output == "probabilities" else "logits"
    if found is not None or (
        output in {"auto", "multilabel"} and _look_like_probabilities(engine, weights, output, value_range)
    ):
        raw = "probabilities"
    return engine, Head(_kind(output, engine.classes, found[0] if found else None), raw)


def _kind(output: str, outputs: int, activation: str | None) -> Kind:
    if output == "multilabel":
        return "sigmoid"
    if outputs == 1:
        return "binary"
    return "sigmoid" if activation == "Sigmoid" else "softmax"


def _probe(engine: Engine, value_range: Sequence[float]) -> tf.Tensor:
    """A few random images, seeded; sizes that are open are taken as 64."""
    shape = (_PROBES, *(64 if size is None else size for size in engine.shape))
    images = np.random.default_rng(0).uniform(value_range[0], value_range[1], size=shape)
    return tf.constant(images, engine.dtype if engine.dtype == tf.float64 else tf.float32)


def _agree(
    whole: FrozenGraph, cut: FrozenGraph, weights: tuple[tf.Tensor, ...], activation: str, value_range: Sequence[float]
) -> bool:
    """Whether the activation applied to the cut graph's outputs gives what the whole graph returns."""
    x = _probe(whole, value_range)
    apply = {"Softmax": tf.nn.softmax, "LogSoftmax": tf.nn.log_softmax, "Sigmoid": tf.nn.sigmoid}[activation]
    expected, actual = whole.forward(x, weights), apply(cut.forward(x, weights))
    return bool(tf.reduce_max(tf.abs(expected - actual)) <= _PROBE_TOLERANCE)


def _look_like_probabilities(
    engine: Engine, weights: tuple[tf.Tensor, ...], output: str, value_range: Sequence[float]
) -> bool:
    """Whether outputs without a visible activation are probabilities all the same (a renormalised softmax, say)."""
    values = engine.forward(_probe(engine, value_range), weights).numpy()
    inside = bool(((values >= 0) & (values <= 1)).all())
    if output == "multilabel" or engine.classes == 1:
        return inside
    return inside and bool(np.allclose(values.sum(-1), 1, atol=1e-3))
