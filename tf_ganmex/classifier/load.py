"""``load_classifier``: from any source to a :class:`Classifier`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tf_ganmex.classifier import sources, trust
from tf_ganmex.classifier.classifier import Classifier, DeferredClassifier, Engine, OpaqueFunction
from tf_ganmex.classifier.freeze import freeze
from tf_ganmex.classifier.graph import FrozenGraph, class_count
from tf_ganmex.classifier.head import Activation, Head, Kind, ends_linearly, final_activation
from tf_ganmex.errors import GanmexError, ModelError, OptionError

OUTPUTS = ("auto", "logits", "probabilities", "multilabel")
_PROBES = 4
_WIDE = (-30.0, 1000.0)  # contrasts of images far outside the value range
_TOLERANCE = 1e-4
_HALF_TOLERANCE = 1e-2  # of an activation computed in half precision


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
    value_range = _check_options(output, value_range, signature, input_shape)

    def finish(engine: Engine, weights: tuple[tf.Tensor, ...], keras_model: Any = None) -> Classifier:
        found = final_activation(engine) if isinstance(engine, FrozenGraph) else None
        cut, head = _find_head(engine, found, weights, output, value_range)
        logarithms = cut is not engine and found is not None and found.op == "LogSoftmax"
        return Classifier(
            cut,
            weights,
            head,
            value_range=value_range,
            class_names=_check_class_names(class_names, head.num_classes(engine.classes)),
            ends_in_activation=cut is not engine or head.raw == "probabilities",
            keras_model=None if logarithms else keras_model,  # its outputs are neither logits nor probabilities
        )

    if isinstance(source, str | os.PathLike):
        traced = sources.trace_file(source, signature, input_shape, trusted=trusted)
        graph, weights = _freeze(traced, value_range)
        if not trusted:
            trust.check_graph(graph.graph_def, str(source))
        return finish(graph, weights, traced.owner if sources.is_keras_model(traced.owner) else None)
    if signature is not None:
        raise OptionError(
            f"Expected signature= only with a SavedModel directory. Received: signature={signature!r} with a source of "
            f"type {type(source).__name__}. Leave it out."
        )
    if sources.is_keras_model(source):
        return finish(*_freeze(sources.trace_model(source, input_shape), value_range), source)
    if not callable(source):
        raise ModelError(
            f"Expected {sources.KINDS}. Received: source={source!r:.80} of type {type(source).__name__}. Pass one of "
            "these."
        )

    def resolve(shape: tuple, dtype: tf.DType) -> Classifier:
        return finish(*_callable_engine(sources.takes_positional(source), shape, dtype, value_range))

    shape, dtype = sources.callable_spec(source, input_shape)
    return DeferredClassifier(resolve, value_range) if shape is None else resolve(shape, dtype)


def _check_options(output: Any, value_range: Any, signature: Any, input_shape: Any) -> tuple[float, float]:
    if output not in OUTPUTS:
        raise OptionError(
            f"Expected output to be one of {OUTPUTS}. Received: output={output!r}. Leave it out to find out."
        )
    if signature is not None and not isinstance(signature, str):
        raise OptionError(
            f"Expected signature='NAME' or 'NAME:OUTPUT'. Received: signature={signature!r}. Pass a string."
        )
    if input_shape is not None and not _is_shape(input_shape):
        raise OptionError(
            f"Expected input_shape=(h, w, c), three sizes of an image. Received: input_shape={input_shape!r}. "
            "Leave the batch out."
        )
    try:
        low, high = map(float, value_range)
        valid = -np.inf < low < high < np.inf
    except (TypeError, ValueError):
        valid = False
    if not valid:
        raise OptionError(
            f"Expected value_range=(low, high) with low < high. Received: value_range={value_range!r}. Say what "
            "values the images had on which the model was trained."
        )
    return low, high


def _is_shape(value: Any) -> bool:
    return (
        isinstance(value, Sequence)
        and len(value) == 3
        and all(isinstance(n, int | np.integer) and n >= 1 for n in value)
    )


def _check_class_names(names: Sequence[str] | None, classes: int) -> list[str]:
    if names is None:
        return [str(index) for index in range(classes)]
    if isinstance(names, str) or not isinstance(names, Iterable) or len(names := list(names)) != classes:
        raise OptionError(
            f"Expected {classes} class names, one per class. Received: class_names={names!r}. Name them in the order "
            "of the model's outputs."
        )
    return [str(name) for name in names]


def _freeze(traced: sources.Traced, value_range: tuple[float, float]) -> tuple[FrozenGraph, tuple[tf.Tensor, ...]]:
    shape = traced.image.shape
    if shape.rank != 4 or shape[-1] is None:
        raise ModelError(
            f"Expected a model of images (n, h, w, c). Received: input shape={shape}. Put a layer or callable in front "
            "that takes images, and pass input_shape=(h, w, c) where the model leaves sizes open."
        )
    if traced.image.dtype.is_integer and value_range[1] <= 1:
        raise OptionError(
            f"Expected the value_range of the {traced.image.dtype.name} images that the model takes. Received: "
            f"value_range={value_range}. Pass value_range=(0, 255) and images in that range, of any type."
        )
    if shape[0] is None and traced.output.shape.rank and traced.output.shape[0] is not None:
        raise ModelError(
            f"Expected one row of outputs per image. Received: output shape={traced.output.shape} for any number of "
            "images. Fix the batch in the model's input (keras.Input(batch_size=), or the tf.TensorSpec), or reshape "
            "with -1."
        )
    return freeze(traced.concrete, traced.image, traced.output)


def _callable_engine(
    function: Callable, shape: tuple, dtype: tf.DType, value_range: tuple[float, float]
) -> tuple[Engine, tuple]:
    """The engine of a callable: its graph in the first type in which it has one, or else the callable itself."""
    kinds = dict.fromkeys([dtype, tf.float32, tf.float64])
    for kind in kinds:
        try:
            traced = sources.trace_callable(function, tf.TensorSpec((None, *shape), kind), owner=function)
            if traced.output.shape.rank is not None:  # None: NumPy made it
                return _freeze(traced, value_range)
        except GanmexError:
            raise
        except Exception:  # whatever a callable raises under tracing, calling it may still work
            continue
    return _opaque_engine(function, shape, [kind for kind in kinds if kind.is_floating]), ()


def _opaque_engine(function: Callable, shape: tuple, kinds: Sequence[tf.DType]) -> OpaqueFunction:
    failures = []
    for kind in kinds:
        try:
            result = tf.convert_to_tensor(function(tf.zeros((1, *_open_as(64, shape)), kind)))
        except Exception as error:
            failures.append(error)
        else:
            return OpaqueFunction(function, tuple(shape), kind, class_count(result))
    raise ModelError(
        f"Expected a callable from images (n, h, w, c) to scores (n, classes). Received: {function!r}, which fails on "
        f"a tensor of shape {(1, *_open_as(64, shape))}: {str(failures[0])[:500]}. Call it on such images yourself to "
        "see why."
    ) from failures[0]


# --- what the outputs are ---------------------------------------------------------------------------------------------


def _find_head(
    engine: Engine,
    found: Activation | None,
    weights: tuple[tf.Tensor, ...],
    output: str,
    value_range: tuple[float, float],
) -> tuple[Engine, Head]:
    """Cuts the graph before a final softmax or sigmoid and says how the outputs there become scores."""
    if output == "logits":
        return engine, Head(_kind(output, engine.classes, None), "logits")
    kind = _kind(output, engine.classes, found)
    x = _probe(engine, value_range)
    outputs = _outputs(engine, x, weights)
    if not np.isfinite(outputs).all():
        raise ModelError(
            f"Expected a model with finite outputs. Received: NaN or infinity for images of shape {x.shape[1:]}. "
            f"{_advice(engine)}"
        )
    if isinstance(engine, FrozenGraph) and found is not None:
        cut, head = engine.with_output(found.before, engine.classes), Head(kind, "logits")
        if _agree(outputs, _outputs(cut, x, weights), head, found):
            return cut, head
    logarithms = found is not None and found.op == "LogSoftmax"
    if output == "probabilities" or (
        not logarithms and _look_like_probabilities(engine, weights, kind, outputs, value_range)
    ):
        return engine, Head(kind, "probabilities")
    return engine, Head(kind, "logits")


def _kind(output: str, outputs: int, found: Activation | None) -> Kind:
    if output == "multilabel":
        return "sigmoid"
    if outputs == 1:
        return "binary"
    return "sigmoid" if found is not None and found.op == "Sigmoid" else "softmax"


def _agree(whole: np.ndarray, cut: np.ndarray, head: Head, found: Activation) -> bool:
    """Whether a head turns the outputs of a cut graph into the probabilities that the whole graph returns."""
    expected = np.exp(whole) if found.op == "LogSoftmax" else whole
    actual = head.probabilities(tf.constant(cut)).numpy()[:, -whole.shape[1] :]
    tolerance = _HALF_TOLERANCE if found.dtype in (tf.float16, tf.bfloat16) else _TOLERANCE
    return bool(np.abs(expected - actual).max() <= tolerance * np.abs(expected).max())


def _look_like_probabilities(
    engine: Engine,
    weights: tuple[tf.Tensor, ...],
    kind: Kind,
    outputs: np.ndarray,
    value_range: tuple[float, float],
) -> bool:
    """Whether outputs without a visible activation are probabilities all the same (a renormalised softmax, say)."""
    if kind != "softmax" and isinstance(engine, FrozenGraph) and ends_linearly(engine):
        return False
    if not _could_be_probabilities(outputs, kind):
        return False
    for contrast in _WIDE:  # images far out of range take a logit out of [0, 1]
        with contextlib.suppress(ModelError):  # a callable may refuse them
            rows = _outputs(engine, _probe(engine, value_range, contrast), weights)
            if not _could_be_probabilities(rows[np.isfinite(rows).all(-1)], kind):
                return False
    return True


def _could_be_probabilities(outputs: np.ndarray, kind: Kind) -> bool:
    inside = bool(((outputs >= 0) & (outputs <= 1)).all())
    return inside and (kind != "softmax" or bool(np.allclose(outputs.sum(-1), 1, atol=_HALF_TOLERANCE)))


def _probe(engine: Engine, value_range: tuple[float, float], contrast: float = 1.0) -> tf.Tensor:
    """A few random images, seeded; sizes that are open are taken as 64."""
    low, high = value_range
    noise = np.random.default_rng(0).uniform(-1, 1, size=(_PROBES, *_open_as(64, engine.shape)))
    images = (low + high) / 2 + contrast * (high - low) / 2 * noise
    return tf.constant(images, tf.float64 if engine.dtype == tf.float64 else tf.float32)


def _open_as(size: int, shape: Sequence[int | None]) -> tuple[int, ...]:
    return tuple(size if known is None else known for known in shape)


def _outputs(engine: Engine, x: tf.Tensor, weights: tuple[tf.Tensor, ...]) -> np.ndarray:
    """The raw outputs; ModelError where the model does not run on such images."""
    try:
        return engine.forward(x, weights).numpy()
    except Exception as error:
        raise ModelError(
            f"Expected a model that runs on images of shape {engine.shape}. Received: one that fails on a batch of "
            f"shape {tuple(x.shape)}: {str(error)[:500]}. {_advice(engine)}"
        ) from error


def _advice(engine: Engine) -> str:
    if None in engine.shape:
        return "Pass input_shape=(h, w, c) of images that it takes."
    return "Call the model on such images yourself to see why."
