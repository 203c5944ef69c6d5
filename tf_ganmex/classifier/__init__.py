"""Any Keras, SavedModel or callable classifier as one graph with its weights fed in."""

from tf_ganmex import _backend as _backend  # first, for TensorFlow imports Keras with whatever backend is set
from tf_ganmex.classifier.classifier import Classifier
from tf_ganmex.classifier.load import load_classifier

__all__ = ["Classifier", "load_classifier"]
