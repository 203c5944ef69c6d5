"""SavedModels of an Estimator."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import tensorflow as tf

from tf_ganmex.errors import ModelError
from tf_ganmex.gan.tfgan import stored
from tf_ganmex.gan.tfgan.spec import EstimatorSpec

v1: Any = tf.compat.v1
_DEFAULT = v1.saved_model.signature_constants.DEFAULT_SERVING_SIGNATURE_DEF_KEY


def signatures(receiver_tensors: Any, made: EstimatorSpec) -> dict[str, Any]:
    """Return the signatures from the receiver's tensors to every export output, one of them "serving_default"."""
    inputs = _tensors("receiver_tensors", receiver_tensors, "input")
    outputs = made.export_outputs or {_DEFAULT: made.predictions}
    if _DEFAULT not in outputs and len(outputs) == 1:
        outputs = {_DEFAULT: next(iter(outputs.values()))}
    if _DEFAULT not in outputs:
        raise ModelError(
            f"Expected one of several export_outputs to be {_DEFAULT!r}. Received: {', '.join(map(repr, outputs))}. "
            "Call the main one that."
        )
    return {
        name: v1.saved_model.predict_signature_def(inputs, _tensors("export_outputs", output, "output"))
        for name, output in outputs.items()
    }


def _tensors(what: str, value: Any, name: str) -> dict[str, tf.Tensor]:
    value = getattr(value, "outputs", value) if not tf.is_tensor(value) else value
    tensors = value if isinstance(value, dict) else {name: value}
    for key, tensor in tensors.items():
        if not tf.is_tensor(tensor):
            raise ModelError(
                f"Expected {what} of tensors. Received: {key}={tensor!r}. Give a tensor, or several by name."
            )
    return tensors


def write(
    directory: str,
    scaffold: Any,
    signature_map: dict[str, Any],
    *,
    checkpoint: str,
    session_config: Any,
    assets_extra: dict[str, str],
    as_text: bool,
) -> str:
    """Restore the default graph's variables, and write it into a new directory named by the time."""
    local_init = scaffold.local_init_op
    if local_init is None:
        local_init = v1.train.Scaffold.default_local_init_op()
    saver = scaffold.saver or v1.get_collection(v1.GraphKeys.SAVERS)[0]
    with v1.Session(config=session_config) as session:
        saver.restore(session, checkpoint)
        with stored.writing(directory):
            os.makedirs(directory, exist_ok=True)
            final = _new_name(Path(directory))
            temporary = final.with_name(f"temp-{final.name}-{os.getpid()}")
            try:
                builder = v1.saved_model.Builder(str(temporary))
                builder.add_meta_graph_and_variables(
                    session,
                    [v1.saved_model.tag_constants.SERVING],
                    signature_def_map=signature_map,
                    assets_collection=v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
                    main_op=local_init,
                    saver=saver,
                    strip_default_attrs=True,
                )
                builder.save(as_text)
                _copy(assets_extra, temporary / "assets.extra")
                os.replace(temporary, final)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
    return str(final)


def _new_name(directory: Path) -> Path:
    stamp = int(time.time())
    while (directory / str(stamp)).exists():
        stamp += 1
    return directory / str(stamp)


def _copy(files: dict[str, str], directory: Path) -> None:
    for name, source in files.items():
        target = directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
