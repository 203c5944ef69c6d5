"""The import of TF-GAN, late and inside the stand-ins."""

from __future__ import annotations

import importlib
import sys
import types
import warnings

from tf_ganmex.gan.tfgan.standins import tf1_scope


def import_tfgan() -> types.ModuleType:
    """Import TF-GAN, whose estimators then derive from our small Estimator.

    Returns:
        The module `tensorflow_gan`; the same one at every call.

    Raises:
        ImportError: if TF-GAN, or TensorFlow Probability that it needs, is not installed.
    """
    with tf1_scope(), warnings.catch_warnings():
        loaded = sys.modules.get("tensorflow_gan")
        if loaded is not None and hasattr(loaded, "losses"):
            return loaded
        # A failed earlier import leaves half a package behind, which would then import "successfully".
        for name in [name for name in sys.modules if name.split(".")[0] == "tensorflow_gan"]:
            del sys.modules[name]
        # It compares versions by distutils.
        warnings.simplefilter("ignore", DeprecationWarning)
        return importlib.import_module("tensorflow_gan")


def import_tfgan_module(name: str) -> types.ModuleType:
    """Import a module of TF-GAN that `import_tfgan` leaves out.

    Args:
        name: below `tensorflow_gan`, such as "examples.stargan.network". What it builds needs `tf1_scope` as well.

    Returns:
        The module.

    Raises:
        ImportError: if it, or TF-GAN, is not installed.
    """
    import_tfgan()
    with tf1_scope():
        return importlib.import_module(f"tensorflow_gan.{name}")
