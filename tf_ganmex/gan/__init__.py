"""GANMEX: class-targeted baselines from a StarGAN that has the classifier as its class discriminator."""

from tf_ganmex.gan import estimator
from tf_ganmex.gan.callbacks import ImageGrid
from tf_ganmex.gan.checkpoints import Checkpoints
from tf_ganmex.gan.ganmex import GANMEX
from tf_ganmex.gan.persistence import load_ganmex
from tf_ganmex.gan.presets import PRESETS

__all__ = ["GANMEX", "PRESETS", "Checkpoints", "ImageGrid", "estimator", "load_ganmex"]
