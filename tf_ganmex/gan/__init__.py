"""GANMEX: class-targeted baselines from a StarGAN that has the classifier as its class discriminator."""

from tf_ganmex.gan.callbacks import ImageGrid
from tf_ganmex.gan.checkpoints import Checkpoints
from tf_ganmex.gan.ganmex import GANMEX
from tf_ganmex.gan.persistence import load_ganmex

__all__ = ["GANMEX", "Checkpoints", "ImageGrid", "load_ganmex"]
