"""A trained GANMEX as a directory: `ganmex.json` beside the weights of its networks."""

from __future__ import annotations

import hashlib
import io
import json
import os
import warnings
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tf_ganmex._backend import keras
from tf_ganmex.errors import CheckpointError, GanmexError, OptionError
from tf_ganmex.gan.classifiers import FrozenClassifier, SavedClassifier, facts_of
from tf_ganmex.gan.ganmex import GANMEX
from tf_ganmex.gan.tfgan.checkpoint import find_checkpoint, read_tfgan

CONFIG_NAME = "ganmex.json"
FORMAT = "tf-ganmex GANMEX"
FORMAT_VERSION = 1
_NETWORKS = ("generator", "discriminator")
_WEIGHTS_DTYPES = ("float32", "float16")


def save_ganmex(
    gan: GANMEX,
    path: str | Path,
    *,
    overwrite: bool = True,
    weights_dtype: str = "float32",
    discriminator: bool = True,
    notes: dict[str, Any] | None = None,
) -> None:
    """Write `gan` to a directory; see `GANMEX.save`."""
    if weights_dtype not in _WEIGHTS_DTYPES:
        raise OptionError(
            f"Expected weights_dtype 'float32' or 'float16'. Received: weights_dtype={weights_dtype!r}. "
            "float16 halves the files and moves pixels by about 1e-3."
        )
    directory = Path(path)
    if (directory / CONFIG_NAME).exists() and not overwrite:
        raise CheckpointError(
            f"Expected a path with no GANMEX yet. Received: path={str(directory)!r}, overwrite=False. "
            "Take another path, or pass overwrite=True."
        )
    names = _NETWORKS if discriminator else _NETWORKS[:1]
    try:
        files = {f"{name}.npz": _pack(getattr(gan, name), weights_dtype) for name in names}
        config = _config(gan, weights_dtype, files, gan.notes if notes is None else notes)
        text = json.dumps(config, indent=2, allow_nan=False)
        directory.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            _write(directory / name, content)
        # Last: it names the digests of the others, so that a mixture of two saves is seen as such.
        _write(directory / CONFIG_NAME, text.encode())
        if not discriminator:
            (directory / "discriminator.npz").unlink(missing_ok=True)
    except OSError as error:
        raise CheckpointError(
            f"Expected to write a GANMEX. Received: path={str(directory)!r}, which failed with {error}. "
            "Check that it is a writable directory and the disk is not full."
        ) from error
    except (TypeError, ValueError) as error:
        raise OptionError(
            f"Expected notes that JSON can hold. Received: {error}. Keep to strings, finite numbers, lists and dicts."
        ) from error


def load_ganmex(path: str | Path, classifier: FrozenClassifier | None = None) -> GANMEX:
    """Load a GANMEX that was written by `gan.save`, or by TF-GAN's estimator, of today or of the published code.

    Args:
        path: the directory; or a checkpoint ("model.ckpt-50000"), directory or SavedModel export of an estimator.
        classifier: the classifier it was trained for; without it `generate` works and `fit` does not. An estimator's
            checkpoint needs it, for the size of the images.

    Returns:
        The GANMEX, at the step at which it was saved, with fresh optimizers. From an estimator's checkpoint the sizes
        of the networks are told by the shapes; the weights of the losses are not in it, and are `GANMEX`'s defaults.

    Raises:
        CheckpointError: if the path holds none, a file is missing, damaged or from a newer format, the weights do
            not fit, or the classifier has other images or classes.
    """
    directory = Path(path)
    if not (directory / CONFIG_NAME).is_file() and (prefix := find_checkpoint(directory)):
        return read_tfgan(prefix, classifier)
    config = _read_config(directory)
    saved = _saved_classifier(directory, config)
    if classifier is not None:
        _check_same_task(saved, facts_of(classifier))
    gan = _build(directory, config, classifier or saved)
    for name in _NETWORKS:
        if f"{name}.npz" in config["files"]:
            _unpack(directory / f"{name}.npz", config["files"][f"{name}.npz"], getattr(gan, name))
    gan.has_new_discriminator = "discriminator.npz" not in config["files"]
    gan.step.assign(config["step"])
    gan.notes.update(config["notes"])
    return gan


def _config(gan: GANMEX, weights_dtype: str, files: dict[str, bytes], notes: dict[str, Any]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "options": gan.options.as_dict(),
        "classifier": facts_of(gan.classifier).as_dict(),
        "step": int(gan.step),
        "weights_dtype": weights_dtype,
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        "versions": {"tf_ganmex": _package_version(), "tensorflow": tf.__version__, "keras": keras.__version__},
        "notes": notes,
    }


def _package_version() -> str:
    import tf_ganmex

    try:
        return metadata.version("tf-ganmex")
    except metadata.PackageNotFoundError:
        return tf_ganmex.__version__


def _named_variables(network: keras.Model) -> dict[str, keras.Variable]:
    return {f"{layer.name}/{variable.name}": variable for layer in network.layers for variable in layer.weights}


def _pack(network: keras.Model, weights_dtype: str) -> bytes:
    arrays: dict[str, Any] = {
        name: variable.numpy().astype(weights_dtype) for name, variable in _named_variables(network).items()
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _read_config(directory: Path) -> dict[str, Any]:
    path = directory / CONFIG_NAME
    if not path.is_file():
        raise CheckpointError(
            f"Expected a directory written by gan.save, with a {CONFIG_NAME}, or a checkpoint of TF-GAN's estimator. "
            f"Received: path={str(directory)!r}. Check the path."
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(path, str(error)) from error
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise _damaged(path, f"its format is not {FORMAT!r}")
    version = config.get("format_version")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise CheckpointError(
            f"Expected format_version <= {FORMAT_VERSION}. Received: format_version={version!r} in {str(path)!r}. "
            "Install a newer tf-ganmex to read it."
        )
    expected = {"options": dict, "classifier": dict, "files": dict, "step": int, "notes": dict}
    for key, kind in expected.items():
        if not isinstance(config.get(key), kind):
            raise _damaged(path, f"{key!r} is missing or of the wrong type")
    if "generator.npz" not in config["files"]:
        raise _damaged(path, "it names no generator.npz")
    return config


def _saved_classifier(directory: Path, config: dict[str, Any]) -> SavedClassifier:
    try:
        facts = dict(config["classifier"])
        low, high = facts.pop("value_range")
        shape = tuple(int(side) for side in facts.pop("input_shape"))
        return SavedClassifier(input_shape=shape, value_range=(float(low), float(high)), **facts)
    except (TypeError, ValueError, KeyError) as error:
        raise _damaged(directory / CONFIG_NAME, f"'classifier': {error}") from error


def _build(directory: Path, config: dict[str, Any], classifier: FrozenClassifier) -> GANMEX:
    try:
        return GANMEX(classifier, **config["options"])
    except (TypeError, GanmexError) as error:
        raise _damaged(directory / CONFIG_NAME, f"'options': {error}") from error


def _check_same_task(saved: SavedClassifier, given: SavedClassifier) -> None:
    for name in ("input_shape", "num_classes", "value_range"):
        ours, theirs = getattr(saved, name), getattr(given, name)
        if ours != theirs:
            raise CheckpointError(
                f"Expected a classifier with {name}={ours}, as this GANMEX was trained for. "
                f"Received: {name}={theirs}. Pass the classifier that it was trained for."
            )
    if saved.fingerprint != given.fingerprint:
        warnings.warn(
            f"This GANMEX was trained for a classifier with fingerprint {saved.fingerprint!r}, and is given one with "
            f"{given.fingerprint!r}. Its baselines explain the former.",
            UserWarning,
            stacklevel=3,
        )


def _unpack(path: Path, digest: str, network: keras.Model) -> None:
    variables = _named_variables(network)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(
            f"Expected the file {path.name!r} that {CONFIG_NAME} names. Received: {str(path)!r}, which cannot be "
            f"read: {error}. Copy the whole directory."
        ) from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise _damaged(path, f"its digest is not the one in {CONFIG_NAME}")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise _damaged(path, str(error)) from error
    shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
    found = {name: array.shape for name, array in arrays.items()}
    if shapes != found:
        wrong = sorted(name for name in shapes.keys() | found.keys() if shapes.get(name) != found.get(name))
        raise CheckpointError(
            f"Expected weights of the networks that {CONFIG_NAME} describes. Received: {str(path)!r} with other "
            f"{', '.join(wrong[:3])}{' ...' if len(wrong) > 3 else ''}. Copy both files from one save."
        )
    for name, variable in variables.items():
        variable.assign(arrays[name].astype(np.float32))


def _damaged(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(
        f"Expected a file as gan.save writes it. Received: {str(path)!r}, where {reason}. "
        "Copy it again, or train and save again."
    )
