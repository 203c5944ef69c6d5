"""The checkpoints of an Estimator on the disk: which can be read, and why one cannot be written."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from tf_ganmex.errors import CheckpointError

PREFIX = "model.ckpt"
# A file that ends early, or cannot grow, comes out of TensorFlow as an IndexError where no session is involved.
_FILE_ERRORS = (tf.errors.OpError, OSError, ValueError, IndexError)


def newest_first(directory: str) -> list[str]:
    """List the checkpoints in a directory, whether they can be read or not."""
    found = [str(path.with_suffix("")) for path in Path(directory).glob(f"{PREFIX}-*.index")]
    return sorted((path for path in found if step_of(path) >= 0), key=step_of, reverse=True)


def step_of(path: str) -> int:
    """The step in a checkpoint's name; -1 where there is none."""
    match = re.search(rf"{re.escape(PREFIX)}-(\d+)$", path)
    return int(match[1]) if match else -1


def global_step(path: str) -> int:
    """The global step that a checkpoint is of; the one in its name where it holds none."""
    reader = tf.train.load_checkpoint(path)
    return int(reader.get_tensor("global_step")) if reader.has_tensor("global_step") else max(step_of(path), 0)


def newest_readable(directory: str) -> str | None:
    """Find the newest checkpoint all of whose tensors can be read, which reads every one of them.

    Returns:
        Its path; None where there is no checkpoint.

    Raises:
        CheckpointError: if there are checkpoints and none can be read.
    """
    damaged: list[str] = []
    for path in newest_first(directory):
        failure = _unreadable(path)
        if failure is None:
            if damaged:
                warnings.warn(
                    f"{str(directory)!r} holds checkpoints that cannot be read: {'; '.join(damaged)}. Taking "
                    f"{Path(path).name} instead.",
                    UserWarning,
                    stacklevel=3,
                )
            return path
        damaged.append(f"{Path(path).name} ({failure})")
    if damaged:
        raise CheckpointError(
            f"Expected a readable checkpoint. Received: directory={str(directory)!r} with {'; '.join(damaged)}. "
            "Remove them to train from the beginning, or put a copy back."
        )
    return None


def readable(directory: str, path: str | None = None) -> str:
    """Return `path`, or the newest readable checkpoint of the directory; raise CheckpointError if there is none."""
    if path is None:
        path = newest_readable(directory)
        if path is None:
            raise CheckpointError(
                f"Expected a checkpoint. Received: directory={str(directory)!r}, which holds none. Call train() first, "
                "or give checkpoint_path."
            )
        return path
    path = os.fspath(path)
    failure = _unreadable(path)
    if failure is not None:
        raise CheckpointError(
            f"Expected a readable checkpoint. Received: checkpoint_path={path!r} ({failure}). Give the path without "
            "'.index' or '.data-00000-of-00001'."
        )
    return path


def _unreadable(path: str) -> str | None:
    try:
        reader = tf.train.load_checkpoint(path)
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)  # which compares its checksum
    except _FILE_ERRORS as error:
        return _reason(error)
    return None


def check_holds(path: str, variables: list[Any]) -> None:
    """Raise CheckpointError unless a checkpoint has every one of these variables, in its shape."""
    stored = tf.train.load_checkpoint(path).get_variable_to_shape_map()
    for variable in variables:
        name = variable.op.name
        if name not in stored or not variable.shape.is_compatible_with(stored[name]):
            found = f"shape {stored[name]}" if name in stored else "no such variable"
            raise CheckpointError(
                f"Expected a checkpoint of this model, with {name} of shape {variable.shape.as_list()}. Received: "
                f"{path!r} with {found}. Take the networks and optimizers it was made with, or another model_dir."
            )


def prepare(directory: str) -> None:
    """Make the directory, see that it can be written to, and remove what a killed process left unfinished."""
    with writing(directory):
        os.makedirs(directory, exist_ok=True)
        tempfile.TemporaryFile(dir=directory).close()
        for path in Path(directory).glob(f"{PREFIX}-*.tempstate*"):
            path.unlink()


@contextlib.contextmanager
def writing(directory: str) -> Iterator[None]:
    """Turn the errors of writing into a directory into CheckpointError."""
    try:
        yield
    except CheckpointError:
        raise
    except _FILE_ERRORS as error:
        raise CheckpointError(
            f"Expected to write into the directory of the model. Received: directory={str(directory)!r}, which failed "
            f"with {_reason(error)!r}. What it holds is kept. Make room, make it writable or name another one, and "
            "train on."
        ) from error


def _reason(error: Exception) -> str:
    # Without the operation that failed, which is named before or after in double braces.
    text = re.sub(r"\{\{.*?\}\}", "", str(error))
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [type(error).__name__]
    # An error out of a session tells first where the operation was made.
    of_node = [index for index, line in enumerate(lines[:-1]) if line.startswith("Node:")]
    return lines[of_node[-1] + 1 if of_node else 0][:300]
