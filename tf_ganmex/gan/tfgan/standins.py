"""What TF-GAN needs of TensorFlow 1 and Python 3.10, lent for the length of a ``with`` block."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import inspect
import sys
import threading
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import tensorflow as tf

_MISSING = object()
_LAYER_MODULES = ("convolutional", "core", "normalization", "pooling")
_KERNELS = ("kernel_initializer", "depthwise_initializer", "pointwise_initializer")
_lock = threading.RLock()


class _ArgSpec(NamedTuple):
    args: list[str]
    varargs: str | None
    keywords: str | None
    defaults: tuple[Any, ...] | None


@contextlib.contextmanager
def tf1_scope() -> Iterator[None]:
    """Give `tf.estimator`, `tf.compat.v1.layers` and `inspect.getargspec`, and take them away again on leaving.

    To import TF-GAN in and to build its graphs in. The layers are tf_keras's, and only where it is installed.

    Yields:
        Nothing.
    """
    # Late, for our Estimator calls model functions in this scope.
    from tf_ganmex.gan.tfgan.estimator import MODULE

    modules = {"estimator": MODULE}
    if importlib.util.find_spec("tf_keras") is not None:
        modules["layers"] = _legacy_layers()
    with stand_ins(**modules), _given(inspect, "getargspec", _getargspec), warnings.catch_warnings():
        # TF-GAN cannot be asked to use other layers.
        warnings.filterwarnings("ignore", message="`tf.layers")
        yield


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


@contextlib.contextmanager
def _given(owner: types.ModuleType, name: str, value: object) -> Iterator[None]:
    # Only where absent, which is also what makes nested scopes fine.
    with _lock:
        if hasattr(owner, name):
            yield
            return
        setattr(owner, name, value)
        try:
            yield
        finally:
            delattr(owner, name)


def _getargspec(function: Callable[..., Any]) -> _ArgSpec:
    return _ArgSpec(*inspect.getfullargspec(function)[:4])


def _legacy_layers() -> types.ModuleType:
    # Nothing is imported before a layer is asked for: tf_keras takes a second, and TF-GAN's losses do without.
    layers: Any = types.ModuleType("tensorflow.layers")

    def layer(name: str) -> Any:
        for module_name in _LAYER_MODULES:
            module = importlib.import_module(f"tf_keras.src.legacy_tf_layers.{module_name}")
            if not name.startswith("_") and hasattr(module, name):
                found = getattr(module, name)
                return _seeded(found) if inspect.isfunction(found) else found
        raise AttributeError(f"module 'tensorflow.layers' has no attribute {name!r}")

    layers.__getattr__ = layer
    return layers


def _seeded(layer: Callable[..., Any]) -> Callable[..., Any]:
    """Let kernels start from TensorFlow 1's default and the graph's seed; tf_keras draws a seed from `random`."""
    signature = inspect.signature(layer)
    kernels = [name for name in signature.parameters if name in _KERNELS]

    @functools.wraps(layer)
    def call(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs)
        for name in kernels:
            if given.arguments.get(name) is None:
                given.arguments[name] = tf.compat.v1.glorot_uniform_initializer()
        return layer(*given.args, **given.kwargs)

    return call


def _api_modules() -> list[types.ModuleType]:
    # The same API has two wrappers: `tf.compat.v1` names the second as soon as somebody has imported it by its name,
    # and who took hold of it earlier keeps the first.
    names = ("tensorflow.compat.v1", "tensorflow._api.v2.compat.v1")
    wrappers = [importlib.import_module(name) for name in names]
    # They are lazy and read from the module that they wrap: both need the name.
    wrapped = [module._tfmw_wrapped_module for module in wrappers if hasattr(module, "_tfmw_wrapped_module")]
    return [tf, *wrappers, *wrapped]


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
