"""Keras on the TensorFlow backend, checked before its first import.

Modules of the package take ``keras`` from here, so that a wrong ``KERAS_BACKEND`` is reported as such and not as
a failure somewhere inside Keras.
"""

from __future__ import annotations

import os

from tf_ganmex.errors import BackendError

__all__ = ["keras"]

_ADVICE = (
    'Set KERAS_BACKEND=tensorflow (or "backend": "tensorflow" in ~/.keras/keras.json) before Keras is imported, '
    "and start Python again."
)

_asked = os.environ.get("KERAS_BACKEND") or "tensorflow"
if _asked != "tensorflow":
    raise BackendError(f"Expected Keras on the TensorFlow backend. Received: KERAS_BACKEND={_asked!r}. {_ADVICE}")

try:
    import keras
except ModuleNotFoundError as error:  # keras.json names a backend that is not installed, say
    raise BackendError(f"Expected Keras on the TensorFlow backend. Received: {error}. {_ADVICE}") from error

if keras.config.backend() != "tensorflow":
    raise BackendError(
        f"Expected Keras on the TensorFlow backend. Received: backend={keras.config.backend()!r}. {_ADVICE}"
    )
