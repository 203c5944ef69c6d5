"""From every kind of classifier source to one traced function with an image input."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import tensorflow as tf

from tf_ganmex._backend import keras
from tf_ganmex.classifier import trust
from tf_ganmex.classifier.freeze import quiet_tensorflow
from tf_ganmex.errors import ModelError, OptionError, SignatureError

KINDS = "a .keras or .h5 file, a SavedModel directory, a Keras model, or a callable tensor -> tensor"


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
    path = Path(os.path.expanduser(path))
    if not path.exists():
        raise ModelError(f"Expected {KINDS}. Received: {str(path)!r}, which does not exist. Check the path.")
    if path.is_dir():
        return _trace_saved_model(path, signature, shape, trusted=trusted)
    if signature is not None:
        raise OptionError(
            f"Expected signature= only with a SavedModel directory. Received: signature={signature!r} with the file "
            f"{str(path)!r}. Leave it out."
        )
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
    for batch in dict.fromkeys([None, spec.shape[0]]):  # a model may be built for one batch size only
        try:
            images = tf.TensorSpec([batch, *spec.shape[1:]], spec.dtype)
            traced = trace_callable(lambda x: model(_packed(model, x), training=False), images, owner=model)
        except ModelError:
            raise
        except Exception as error:
            failure = error
        else:
            if batch == spec.shape[0] or traced.output.shape.rank is None or traced.output.shape[0] is None:
                return traced
    raise ModelError(
        f"Expected a Keras model that can be called. Received: {model!r}, which fails on images of shape "
        f"{tuple(spec.shape)}: {failure}. Call it on such images yourself to see why."
    )


def _packed(model: Any, x: tf.Tensor) -> Any:
    """The image in the dictionary that a functional model may want it in."""
    wanted = getattr(model, "input", None)
    return dict.fromkeys(wanted, x) if isinstance(wanted, dict) else x


def _model_input(model: Any, shape: tuple | None) -> tf.TensorSpec:
    inputs = getattr(model, "inputs", None) or []
    if len(inputs) > 1:
        names = [tensor.name for tensor in inputs]
        raise ModelError(
            f"Expected a model with one image input. Received: {len(inputs)} inputs {names}. Wrap it in a keras.Model "
            "or a callable that fixes the others."
        )
    known = tuple(inputs[0].shape) if inputs else _built_shape(model)
    if known is None and shape is None:
        raise ModelError(
            f"Expected a model that knows its input shape. Received: {type(model).__name__}, which was never built. "
            "Load its weights, call it once on images, or pass input_shape=(h, w, c)."
        )
    if known is None:
        known = (None, None, None, None)
    return tf.TensorSpec((known[0], *_agreed_shape(known[1:], shape)), inputs[0].dtype if inputs else tf.float32)


def _built_shape(model: Any) -> tuple | None:
    """The input shape of a subclassed model that was called: Keras keeps it to build the model again."""
    try:
        shape = (model.get_build_config() or {}).get("input_shape")
    except Exception:
        return None
    return (None, *shape[1:]) if isinstance(shape, Sequence) and len(shape) == 4 else None


def _agreed_shape(known: Sequence[int | None], asked: tuple | None) -> tuple:
    """The (h, w, c) asked for, where the model leaves it open; OptionError where the model says otherwise."""
    known = tuple(known)
    if asked is None:
        return known
    if len(known) == 3 and any(size not in (None, wanted) for size, wanted in zip(known, asked, strict=True)):
        raise OptionError(
            f"Expected input_shape to agree with the model's own {known}. Received: input_shape={asked}. Leave it out, "
            "and resize the images."
        )
    return asked


def _read_keras_file(path: Path, *, trusted: bool) -> Any:
    readers = {".keras": _read_keras_archive, ".h5": _read_hdf5, ".hdf5": _read_hdf5}
    if path.suffix.lower() not in readers:
        inside = path.parent if (path.parent / "saved_model.pb").exists() else None
        advice = f"Pass the directory, {str(inside)!r}." if inside else "Save the model again in one of these formats."
        raise ModelError(
            f"Expected {KINDS}. Received: the file {str(path)!r}, whose name ends in none of {', '.join(readers)}. "
            f"{advice}"
        )
    return readers[path.suffix.lower()](path, trusted=trusted)


def _read_keras_archive(path: Path, *, trusted: bool) -> Any:
    config = trust.keras_archive_json(path, "config.json")
    library = _keras_of_version(trust.keras_archive_json(path, "metadata.json").get("keras_version", "3"))
    if not trusted:
        trust.check_keras_config(config, str(path), library)
    return _load_with(library, path, safe_mode=not trusted)


def _read_hdf5(path: Path, *, trusted: bool) -> Any:
    try:
        with h5py.File(path) as file:
            config, version = file.attrs.get("model_config"), file.attrs.get("keras_version", "3")
    except OSError as error:
        raise ModelError(
            f"Expected an HDF5 model file. Received: {str(path)!r}, which is not one ({error}). Save the model again "
            "with model.save('model.keras')."
        ) from error
    if config is None:
        raise ModelError(
            f"Expected a whole model. Received: {str(path)!r}, which holds weights only. Build the model, load them "
            "with model.load_weights, and pass the model."
        )
    library = _keras_of_version(version.decode() if isinstance(version, bytes) else version)
    if not trusted:
        trust.check_keras_config(trust.parse_json(config, path), str(path), library)
    return _load_with(library, path, safe_mode=not trusted)


def _keras_of_version(version: Any) -> Any:
    """Keras 3 refuses ``.keras`` files of Keras 2; tf_keras reads them."""
    if str(version).split(".")[0] not in {"1", "2"}:
        return keras
    import tf_keras

    return tf_keras


def _load_with(library: Any, path: Path, *, safe_mode: bool) -> Any:
    try:
        return library.models.load_model(path, compile=False, safe_mode=safe_mode)
    except Exception as error:
        raise ModelError(
            f"Expected a model that {library.__name__} {library.__version__} can read. Received: {str(path)!r}, which "
            f"fails: {error}. Load it yourself (with its custom objects) and pass the model."
        ) from error


# --- SavedModels ------------------------------------------------------------------------------------------------------


def _trace_saved_model(path: Path, signature: str | None, shape: tuple | None, *, trusted: bool) -> Traced:
    if not (path / "saved_model.pb").exists():
        hint = "Pass the directory that holds saved_model.pb."
        if (path / "ganmex.json").exists():
            hint = "It is a saved GANMEX: load it with tf_ganmex.load_ganmex and use it as a baseline."
        raise ModelError(f"Expected {KINDS}. Received: the directory {str(path)!r} without saved_model.pb. {hint}")
    (trust.read_saved_model if trusted else trust.check_saved_model)(path)
    try:
        with quiet_tensorflow():  # about variables of TF1, which are read all the same
            loaded = tf.saved_model.load(str(path))
    except Exception as error:
        raise ModelError(
            f"Expected a SavedModel that TensorFlow {tf.__version__} can load. Received: {str(path)!r}, which fails: "
            f"{error}. Export it again."
        ) from error
    name, _, output = (signature or "").partition(":")
    function = _pick_signature(loaded.signatures, name, path)
    outputs = _signature_outputs(function)
    tensor = outputs[_pick_output(outputs, output, function_name(function, loaded.signatures), path)]
    image = _only_image(function, path, loaded.signatures)
    if shape is not None:
        known = [None] * 4 if image.shape.rank is None else image.shape.as_list()
        image.set_shape([known[0], *_agreed_shape(known[1:], shape)])
    return Traced(function, image, tensor, loaded)


def function_name(function: Any, signatures: Any) -> str:
    """The name under which a SavedModel offers ``function``."""
    return next(name for name, other in signatures.items() if other is function)


def _pick_signature(signatures: Any, name: str, path: Path) -> Any:
    if not name and len(signatures) == 1:
        return next(iter(signatures.values()))
    if not name and "serving_default" in signatures:
        return signatures["serving_default"]
    if not signatures:
        raise SignatureError(
            f"Expected a SavedModel with a signature. Received: {str(path)!r}, which has none. Save it with "
            "signatures=, or load it with tf.saved_model.load, keep it, and pass the function of it that takes images."
        )
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


def callable_spec(source: Any, asked: tuple | None) -> tuple[tuple | None, tf.DType]:
    """The (h, w, c) and type that a callable takes, where it says so; ``asked`` fills in what it leaves open."""
    specs = tf.nest.flatten(getattr(source, "input_signature", None) or getattr(source, "inputs", None) or [])
    known = tf.TensorShape(getattr(source, "input_shape", None) or (specs[0].shape if specs else None))
    dtype = tf.as_dtype(specs[0].dtype) if specs else tf.float32
    return (_agreed_shape(known[1:].as_list(), asked) if known.rank == 4 else asked), dtype


def takes_positional(source: Callable) -> Callable:
    """``source``, called with the image by its name where it is a signature, which takes nothing else."""
    positional, named = getattr(source, "structured_input_signature", None) or ((), {})
    if positional or len(named) != 1:
        return source
    return lambda x: source(**dict.fromkeys(named, x))
