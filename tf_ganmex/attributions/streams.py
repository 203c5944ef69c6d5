"""Attribution of more images than memory holds: batches from an iterable, or arrays on disk, a block at a time."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from tf_ganmex.attributions.problem import row_slices
from tf_ganmex.errors import ImageError, LabelError, OptionError

Method = Callable[..., Any]
_AT_ONCE = 2**22  # features of the images that are read at a time: 16 MB in float32
_MOST = 3  # beside the images, in a batch
_ELEMENTS = "images, or tuples (images, origin), (images, origin, target) or (images, origin, target, baseline)"
_PER_IMAGE = {"expected_gradients": (5,)}  # axes of an array that has a row for each image; otherwise:
_BASELINE_PER_IMAGE = (4, 5)
_COMPARED = ("baseline", "samples")


def streamed(method: Method) -> Method:
    """``method``, which then takes iterables of batches too, and ``out``, where maps of arrays are written.

    An iterable of batches (a generator, a ``tf.data.Dataset``) in the place of ``x`` gives an iterator of their maps
    (n, h, w, c), made one batch at a time as they are asked for. Its elements are images, or tuples (images, origin),
    (images, origin, target) or (images, origin, target, baseline); what they do not hold is taken from the arguments,
    the same for all batches. ``out`` is an array like ``x``, such as ``np.lib.format.open_memmap(...)``: the images,
    their labels and baselines are then read a block at a time, the maps written into it, and it is returned.
    """
    compared = list(inspect.signature(method).parameters)[4]  # baseline or samples, where the method has one

    @functools.wraps(method)
    def explain(clf: Any, x: Any, origin: Any = None, target: Any = None, *arguments: Any, **options: Any) -> Any:
        out = options.pop("out", None)
        if compared in _COMPARED and compared in options:
            arguments = (*arguments, options.pop(compared))
        if _is_stream(x):
            if out is not None:
                raise OptionError(
                    "Expected out=None with an iterable of batches. Received: out of type "
                    f"{type(out).__name__}. Write each map as the iterator gives it."
                )
            return _explain_stream(functools.partial(method, clf), x, (origin, target, *arguments), options)
        if origin is None:
            raise LabelError("Expected origin to be a class, or classes (n,). Received: origin=None. Pass them.")
        if out is None:
            return method(clf, x, origin, target, *arguments, **options)
        axes = _PER_IMAGE.get(method.__name__, _BASELINE_PER_IMAGE)
        return _explain_blocks(functools.partial(method, clf), x, (origin, target), arguments, options, out, axes)

    return explain


def _is_stream(x: Any) -> bool:
    return isinstance(x, Iterable) and not isinstance(x, list | tuple | str) and not hasattr(x, "__array__")


def _explain_stream(
    method: Method, batches: Iterable[Any], shared: tuple[Any, ...], options: dict[str, Any]
) -> Iterator[np.ndarray]:
    for batch in batches:
        x, *own = batch if isinstance(batch, tuple) else (batch,)
        if len(own) > _MOST:
            raise ImageError(f"Expected batches of {_ELEMENTS}. Received: a tuple of {1 + len(own)}.")
        asked = [*own, *shared[len(own) :]]
        if asked[0] is None:
            raise LabelError(
                f"Expected origin for all batches, or batches of {_ELEMENTS}. Received: neither. Pass origin=..., or "
                "zip the images with their classes."
            )
        yield method(*(_as_array(part) for part in (x, *asked)), **options)


def _as_array(part: Any) -> Any:
    """What tf.data gives, as NumPy has it."""
    return part.numpy() if hasattr(part, "numpy") else part


def _explain_blocks(
    method: Method,
    x: Any,
    labels: tuple[Any, Any],
    arguments: tuple[Any, ...],
    options: dict[str, Any],
    out: Any,
    axes: tuple[int, ...],
) -> Any:
    shape, kind = np.shape(x), getattr(out, "dtype", np.dtype(object))
    if np.shape(out) != shape or kind.kind != "f":
        raise OptionError(
            f"Expected out to be an array of floats of the shape of x, {shape}. Received: shape={np.shape(out)}, "
            f"dtype={kind}. Make it with np.empty, or np.lib.format.open_memmap for one on disk."
        )
    count = len(x)
    for rows in row_slices(count, max(1, _AT_ONCE // max(1, int(np.prod(shape[1:]))))):
        own = [_rows_of(label, rows, count, (1,)) for label in labels]
        given = [_rows_of(array, rows, count, axes) for array in arguments]
        out[rows] = method(x[rows], *own, *given, **options)
    return out


def _rows_of(array: Any, rows: slice, count: int, axes: tuple[int, ...]) -> Any:
    """Rows of an array that has one for each image; anything else as it is."""
    if callable(array) or isinstance(array, str) or np.ndim(array) not in axes or len(array) != count:
        return array
    return array[rows]
