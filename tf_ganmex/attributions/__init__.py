"""Attribution methods, one a file, all called alike: method(clf, x, origin, target, baseline, ...) -> (n, h, w, c).

Each takes iterables of batches and arrays on disk too: see :func:`tf_ganmex.attributions.streams.streamed`.
"""

from tf_ganmex.attributions import deeplift as _deeplift
from tf_ganmex.attributions import deepshap as _deepshap
from tf_ganmex.attributions import expected_gradients as _expected_gradients
from tf_ganmex.attributions import gradient as _gradient
from tf_ganmex.attributions import integrated_gradients as _integrated_gradients
from tf_ganmex.attributions import occlusion as _occlusion
from tf_ganmex.attributions.streams import streamed

deeplift = streamed(_deeplift.deeplift)
deepshap = streamed(_deepshap.deepshap)
expected_gradients = streamed(_expected_gradients.expected_gradients)
gradient = streamed(_gradient.gradient)
integrated_gradients = streamed(_integrated_gradients.integrated_gradients)
occlusion = streamed(_occlusion.occlusion)

__all__ = ["deeplift", "deepshap", "expected_gradients", "gradient", "integrated_gradients", "occlusion"]
