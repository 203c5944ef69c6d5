"""tf-ganmex: why did this Keras classifier say A and not B?

The public names are listed in ``__init__.pyi`` and imported when first used, so that the command line answers
``--help`` without importing TensorFlow.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
