"""Images in [0, 1] with integer labels, by name or from the user's own files.

One file a kind: ``digits`` (scikit-learn), ``named`` (TensorFlow Datasets), ``npz``, ``folder`` (image folders and
archives of them).
"""

from tf_ganmex.datasets.dataset import Dataset
from tf_ganmex.datasets.load import load_dataset

__all__ = ["Dataset", "load_dataset"]
