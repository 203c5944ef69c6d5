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

if os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
    raise BackendError(
        f"tf-ganmex needs Keras on the TensorFlow backend. Received: KERAS_BACKEND={os.environ['KERAS_BACKEND']!r}. "
        + _ADVICE
    )

import keras  # noqa: E402  (only after the check above)

if keras.config.backend() != "tensorflow":
    raise BackendError(
        f"tf-ganmex needs Keras on the TensorFlow backend. Received: backend={keras.config.backend()!r}. " + _ADVICE
    )
