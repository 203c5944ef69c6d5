"""Attribution methods, one a file, all called alike: method(clf, x, origin, target, baseline, ...) -> (n, h, w, c)."""

from tf_ganmex.attributions.deeplift import deeplift
from tf_ganmex.attributions.deepshap import deepshap
from tf_ganmex.attributions.expected_gradients import expected_gradients
from tf_ganmex.attributions.gradient import gradient
from tf_ganmex.attributions.integrated_gradients import integrated_gradients
from tf_ganmex.attributions.occlusion import occlusion

__all__ = ["deeplift", "deepshap", "expected_gradients", "gradient", "integrated_gradients", "occlusion"]
