"""TF-GAN on a TensorFlow that no longer has ``tf.estimator``.

TF-GAN 2.1.0 names classes of ``tf.estimator`` while it is imported, although its losses use none of them. The
stand-ins below exist only during that import.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading
import types
import warnings
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

_NAMES = (
    "Estimator",
    "EstimatorSpec",
    "ModeKeys",
    "RunConfig",
    "SessionRunHook",
    "SessionRunArgs",
    "WarmStartSettings",
)
_TPU_NAMES = ("TPUEstimator", "TPUEstimatorSpec", "RunConfig")
_MISSING = object()
_lock = threading.RLock()


def import_tfgan() -> types.ModuleType:
    """Import TF-GAN, with stand-ins for ``tf.estimator`` while its modules run for the first time.

    Returns:
        The module `tensorflow_gan`; the same one at every call.

    Raises:
        ImportError: if TF-GAN, or TensorFlow Probability that it needs, is not installed.
    """
    with _lock:
        loaded = sys.modules.get("tensorflow_gan")
        if loaded is not None and hasattr(loaded, "losses"):
            return loaded
        # A failed earlier import leaves half a package behind, which would then import "successfully".
        for name in [name for name in sys.modules if name.split(".")[0] == "tensorflow_gan"]:
            del sys.modules[name]
        with stand_ins(estimator=_empty_estimator()), warnings.catch_warnings():
            # It compares versions by distutils.
            warnings.simplefilter("ignore", DeprecationWarning)
            return importlib.import_module("tensorflow_gan")


@contextlib.contextmanager
def stand_ins(**modules: types.ModuleType) -> Iterator[None]:
    """Give TensorFlow modules that it no longer has, and take them away again on leaving.

    Args:
        **modules: by name in `tf`, `tf.compat.v1` and, as `tensorflow.NAME`, among the imported modules: an
            `estimator` to run TF-GAN's estimators on, `layers` for the networks of its examples.

    Yields:
        Nothing.
    """
    with _lock, contextlib.ExitStack() as undo:
        for name, module in modules.items():
            for owner in _api_modules():
                undo.callback(_put, owner, name, owner.__dict__.get(name, _MISSING))
                _put(owner, name, module)
            full_name = f"tensorflow.{name}"
            undo.callback(_put_item, sys.modules, full_name, sys.modules.get(full_name, _MISSING))
            sys.modules[full_name] = module
        yield


def variable_map(blocks: int, discriminator_convs: int) -> dict[str, str]:
    """Map names of our networks' weights ("layer/variable") to those of TF-GAN's StarGAN example.

    Args:
        blocks: residual blocks of the generator.
        discriminator_convs: stride-2 convolutions of the discriminator.

    Returns:
        A dictionary; TF-GAN has two further variables in `generator_down_sample/InstanceNorm_2`, which it does not
        use, and a classification head.
    """
    down, up = "generator/generator_down_sample", "generator/generator_up_sample"
    convolutions = {"image_out": f"{up}/conv_0", "source": "discriminator/discriminator_output_source/conv"}
    norms = {}
    for index in range(3):
        convolutions[f"down_{index}"] = f"{down}/conv_{index}"
    for index in range(2):
        convolutions[f"up_{index}"] = f"{up}/deconv_{index}"
        norms[f"down_{index}_norm"] = f"{down}/{_norm_scope(index)}"
        norms[f"up_{index}_norm"] = f"{up}/{_norm_scope(index)}"
        for block in range(blocks):
            scope = f"generator/generator_bottleneck/residual_block_{block}"
            convolutions[f"block_{block}_{index}"] = f"{scope}/conv_{index}"
            norms[f"block_{block}_{index}_norm"] = f"{scope}/{_norm_scope(index)}"
    for index in range(discriminator_convs):
        convolutions[f"critic_{index}"] = f"discriminator/discriminator_input_hidden/conv_{index}"
    names = {f"{ours}/kernel": f"{theirs}/kernel" for ours, theirs in convolutions.items()}
    for part in ("gamma", "beta"):
        names |= {f"{ours}/{part}": f"{theirs}/{part}" for ours, theirs in norms.items()}
    return names


def _norm_scope(index: int) -> str:
    # tf.compat.v1 numbers repeated scopes from the second on.
    return "InstanceNorm" if index == 0 else f"InstanceNorm_{index}"


def _api_modules() -> list[types.ModuleType]:
    v1 = importlib.import_module("tensorflow.compat.v1")
    wrappers = [tf.compat.v1, v1]
    # These are lazy wrappers that read from the module they wrap: both need the name.
    wrapped = [module._tfmw_wrapped_module for module in wrappers if hasattr(module, "_tfmw_wrapped_module")]
    return [tf, *wrappers, *wrapped]


def _empty_estimator() -> types.ModuleType:
    estimator: Any = types.ModuleType("tensorflow.estimator")
    estimator.tpu = types.ModuleType("tensorflow.estimator.tpu")
    for name in _NAMES:
        setattr(estimator, name, type(name, (), {}))
    for name in _TPU_NAMES:
        setattr(estimator.tpu, name, type(name, (), {}))
    return estimator


def _put(owner: Any, name: str, value: object) -> None:
    # Through __dict__, for the wrapper's own __setattr__ would add to its __all__ as well.
    _put_item(owner.__dict__, name, value)
    # The wrapper also caches what was read from it.
    if hasattr(owner, "_fastdict_key_in") and owner._fastdict_key_in(name):
        if value is _MISSING:
            owner._fastdict_pop(name)
        else:
            owner._fastdict_insert(name, value)


def _put_item(table: dict[str, Any], name: str, value: object) -> None:
    if value is _MISSING:
        table.pop(name, None)
    else:
        table[name] = value
