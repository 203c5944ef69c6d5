"""From every kind of classifier source to one traced function with an image input."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import tensorflow as tf

from tf_ganmex._backend import keras
from tf_ganmex.classifier import trust
from tf_ganmex.errors import ModelError, OptionError, SignatureError

_KINDS = "a .keras or .h5 file, a SavedModel directory, a Keras model, or a callable tensor -> tensor"


@dataclass(frozen=True)
class Traced:
    """A traced classifier: a ConcreteFunction, its image placeholder and its output tensor.

    ``owner`` keeps the loaded object, and so its variables, alive until they have been read.
    """

    concrete: Any
    image: tf.Tensor
    output: tf.Tensor
    owner: Any = None


def trace_file(path: str | os.PathLike, signature: str | None, shape: tuple | None, *, trusted: bool) -> Traced:
    """Traces the classifier in a model file or directory."""
    path = Path(path)
    if not path.exists():
        raise ModelError(f"Expected {_KINDS}. Received: {str(path)!r}, which does not exist.")
    if path.is_dir():
        return _trace_saved_model(path, signature, shape, trusted=trusted)
    if signature is not None:
        raise OptionError(f"signature= names a signature of a SavedModel directory. Received: the file {str(path)!r}.")
    return trace_model(_read_keras_file(path, trusted=trusted), shape)


# --- Keras models ---------------------------------------------------------------------------------------------------


def is_keras_model(source: Any) -> bool:
    """Whether ``source`` is a model of Keras 3 or of tf_keras (Keras 2), without importing the latter."""
    if isinstance(source, keras.Model):
        return True
    return any(
        kind.__module__.split(".")[0] == "tf_keras" and kind.__name__ == "Model" for kind in type(source).__mro__
    )


def trace_model(model: Any, shape: tuple | None) -> Traced:
    """Traces a Keras model in inference mode."""
    spec = _model_input(model, shape)
    failure: Exception | None = None
    for batch in dict.fromkeys([None, spec.shape[0]]):
        try:
            return trace_callable(
                lambda x: model(x, training=False), tf.TensorSpec([batch, *spec.shape[1:]], spec.dtype), owner=model
            )
        except ModelError:
            raise
        except Exception as error:  # a model may be built for one batch size only
            failure = error
    raise ModelError(f"Expected a Keras model that can be called. Received: {model!r}, which fails: {failure}")


def _model_input(model: Any, shape: tuple | None) -> tf.TensorSpec:
    inputs = getattr(model, "inputs", None) or []
    if len(inputs) > 1:
        names = [tensor.name for tensor in inputs]
        raise ModelError(
            f"Expected a model with one image input. Received: {len(inputs)} inputs {names}. Wrap it in a keras.Model "
            "or a callable that fixes the others."
        )
    if not inputs and shape is None:
        raise ModelError(
            f"Expected a model that knows its input shape. Received: {type(model).__name__}, which was never built. "
            "Call it once on an image, or pass input_shape=(h, w, c)."
        )
    if not inputs:
        return tf.TensorSpec((None, *shape), tf.float32)  # type: ignore[misc]
    known = tuple(inputs[0].shape)
    return tf.TensorSpec((known[0], *(shape or known[1:])), inputs[0].dtype)


def _read_keras_file(path: Path, *, trusted: bool) -> Any:
    readers = {".keras": _read_keras_archive, ".h5": _read_hdf5, ".hdf5": _read_hdf5}
    if path.suffix.lower() not in readers:
        raise ModelError(
            f"Expected {_KINDS}. Received: the file {str(path)!r}, whose name ends in none of {', '.join(readers)}."
        )
    return readers[path.suffix.lower()](path, trusted=trusted)


def _read_keras_archive(path: Path, *, trusted: bool) -> Any:
    config = trust.keras_archive_json(path, "config.json")
    version = str(trust.keras_archive_json(path, "metadata.json").get("keras_version", "3"))
    if not trusted:
        trust.check_keras_config(config, str(path))
    return _load_with(_keras_of_version(version), path, safe_mode=not trusted)


def _read_hdf5(path: Path, *, trusted: bool) -> Any:
    try:
        with h5py.File(path) as file:
            config, version = file.attrs.get("model_config"), file.attrs.get("keras_version", "3")
    except OSError as error:
        raise ModelError(f"Expected an HDF5 model file. Received: {path} is not one ({error}).") from error
    if config is None:
        raise ModelError(
            f"Expected a whole model. Received: {path} holds weights only. Build the model, load them with "
            "model.load_weights, and pass the model."
        )
    if not trusted:
        trust.check_keras_config(trust.parse_json(config, path), str(path))
    version = version.decode() if isinstance(version, bytes) else str(version)
    return _load_with(_keras_of_version(version), path, safe_mode=not trusted)


def _keras_of_version(version: str) -> Any:
    """Keras 3 refuses ``.keras`` files of Keras 2; tf_keras reads them."""
    if version.split(".")[0] not in {"1", "2"}:
        return keras
    import tf_keras

    return tf_keras


def _load_with(library: Any, path: Path, *, safe_mode: bool) -> Any:
    try:
        return library.models.load_model(path, compile=False, safe_mode=safe_mode)
    except Exception as error:
        raise ModelError(
            f"Expected a model that {library.__name__} {library.__version__} can read. Received: {path}, which fails: "
            f"{error} Load it yourself (with its custom objects) and pass the model."
        ) from error


# --- SavedModels ------------------------------------------------------------------------------------------------------


def _trace_saved_model(path: Path, signature: str | None, shape: tuple | None, *, trusted: bool) -> Traced:
    if not (path / "saved_model.pb").exists():
        hint = " It is a saved GANMEX: pass it as the baseline." if (path / "ganmex.json").exists() else ""
        raise ModelError(f"Expected {_KINDS}. Received: the directory {str(path)!r} without saved_model.pb.{hint}")
    (trust.read_saved_model if trusted else trust.check_saved_model)(path)
    try:
        loaded = tf.saved_model.load(str(path))
    except Exception as error:
        raise ModelError(f"Expected a SavedModel that TensorFlow {tf.__version__} can load. Received: {path}, "
                         f"which fails: {error}") from error  # fmt: skip
    name, _, output = (signature or "").partition(":")
    function = _pick_signature(loaded.signatures, name, path)
    outputs = _signature_outputs(function)
    tensor = outputs[_pick_output(outputs, output, function_name(function, loaded.signatures), path)]
    image = _only_image(function, path, loaded.signatures)
    if shape is None or image.shape[1:].is_fully_defined() or tensor.shape.rank is None:
        return Traced(function, image, tensor, loaded)
    return Traced(function, _with_shape(image, shape), tensor, loaded)


def _with_shape(image: tf.Tensor, shape: tuple) -> tf.Tensor:
    image.set_shape([image.shape[0], *shape])
    return image


def function_name(function: Any, signatures: Any) -> str:
    """The name under which a SavedModel offers ``function``."""
    return next(name for name, other in signatures.items() if other is function)


def _pick_signature(signatures: Any, name: str, path: Path) -> Any:
    if not name and len(signatures) == 1:
        return next(iter(signatures.values()))
    if not name and "serving_default" in signatures:
        return signatures["serving_default"]
    if name not in signatures:
        asked = f"signature={name!r}" if name else "no signature= to choose one"
        raise SignatureError(
            f"Expected one of the signatures {sorted(signatures)} of {path}. Received: {asked}. Pass "
            "signature='NAME', or 'NAME:OUTPUT' where it has several outputs."
        )
    return signatures[name]


def _signature_outputs(function: Any) -> dict[str, tf.Tensor]:
    """Output tensors of a signature by name: flat outputs come in the order of the sorted names."""
    names = sorted(function.structured_outputs)
    return dict(zip(names, function.outputs, strict=True))


def _pick_output(outputs: dict[str, tf.Tensor], name: str, signature: str, path: Path) -> str:
    if not name and len(outputs) == 1:
        return next(iter(outputs))
    if name not in outputs:
        asked = f"output {name!r}" if name else "no choice among them"
        raise SignatureError(
            f"Expected one of the outputs {sorted(outputs)} of signature {signature!r} of {path}. Received: {asked}. "
            f"Pass signature='{signature}:OUTPUT'."
        )
    return name


def _only_image(function: Any, path: Path, signatures: Any) -> tf.Tensor:
    captured = {id(inner) for _, inner in function.graph.captures}
    inputs = [tensor for tensor in function.inputs if id(tensor) not in captured and tensor.dtype != tf.resource]
    if len(inputs) != 1:
        names = sorted(tensor.op.name for tensor in inputs)
        raise ModelError(
            f"Expected a signature with one image input. Received: {path} takes {len(inputs)} inputs {names}. Load it "
            "and pass a callable that fixes the others."
        )
    if inputs[0].dtype == tf.string:
        others = [name for name in signatures if signatures[name] is not function]
        raise ModelError(
            f"Expected a signature that takes image tensors. Received: {path} takes strings (encoded files or "
            f"tf.Example records). Export a signature of decoded images (n, h, w, c)"
            + (f", or choose another with signature= (there are {sorted(others)})." if others else ".")
        )
    return inputs[0]


# --- callables --------------------------------------------------------------------------------------------------------


def trace_callable(function: Callable, spec: tf.TensorSpec, owner: Any = None) -> Traced:
    """Traces a callable of one image tensor for images of ``spec``."""
    concrete = tf.function(function, autograph=False).get_concrete_function(spec)
    outputs = tf.nest.flatten(concrete.structured_outputs)
    if len(outputs) != 1:
        names = sorted(concrete.structured_outputs) if isinstance(concrete.structured_outputs, dict) else len(outputs)
        raise ModelError(
            f"Expected a model with one output. Received: outputs {names}. Pass a model or callable that returns the "
            "one with the classes, such as keras.Model(model.input, model.outputs[0])."
        )
    return Traced(concrete, concrete.inputs[0], concrete.outputs[0], owner)


def callable_shape(source: Any) -> tuple | None:
    """The (h, w, c) that a callable says it takes, where it says so."""
    specs = tf.nest.flatten(getattr(source, "input_signature", None) or getattr(source, "inputs", None) or [])
    shape = getattr(source, "input_shape", None) or (specs[0].shape if specs else None)
    return tuple(shape[1:]) if shape is not None and len(tuple(shape)) == 4 else None
