"""TF-GAN 2.1.0, unmodified, on a TensorFlow that no longer has what it needs.

TF-GAN was written against ``tf.estimator``, ``tf.compat.v1.layers`` and ``inspect.getargspec``. This folder stands in
for them: a small Estimator for one machine, tf_keras's legacy layers and a short function. They are in place while
TF-GAN is imported and while a model function builds its graph, and gone again afterwards.
"""

from tf_ganmex.gan.tfgan.loading import import_tfgan, import_tfgan_module
from tf_ganmex.gan.tfgan.standins import stand_ins, tf1_scope

__all__ = ["import_tfgan", "import_tfgan_module", "stand_ins", "tf1_scope"]
