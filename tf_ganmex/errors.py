"""The exceptions of the package.

Every one derives from :class:`GanmexError` and from the built-in exception a caller would expect, and its
message says what was expected, what came, and what to do.
"""

from __future__ import annotations


class GanmexError(Exception):
    """Base of every exception that tf-ganmex raises on purpose."""


class ModelError(GanmexError, ValueError):
    """The model cannot be explained as it is: not a model, several inputs, no class axis, ..."""


class UntrustedModelError(ModelError):
    """A model file would run code, or touch files, when it is loaded or called."""


class UnsupportedOpError(ModelError):
    """A graph holds an operation that the requested method has no rule for."""


class SignatureError(ModelError):
    """A SavedModel has several signatures or outputs, or none of the name asked for."""


class ImageError(GanmexError, ValueError):
    """Images of the wrong shape, type or value range."""


class LabelError(GanmexError, ValueError):
    """Class labels out of range, of the wrong type or shape, or origin equal to target."""


class BaselineError(GanmexError, ValueError):
    """A baseline that does not fit the images, or cannot be made for the target asked for."""


class OptionError(GanmexError, ValueError):
    """An option with a value it cannot take: an unknown rule, zero steps, ..."""


class DatasetError(GanmexError, ValueError):
    """A dataset that does not exist, cannot be reached, or does not hold what it should."""


class BackendError(GanmexError, ImportError):
    """Keras is not running on the TensorFlow backend."""


class TrainingDivergedError(GanmexError, ArithmeticError):
    """A loss became NaN or infinite during training."""


class CheckpointError(GanmexError, OSError):
    """A checkpoint or saved GANMEX cannot be written, or cannot be read."""
