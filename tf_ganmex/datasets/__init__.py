"""Images in [0, 1] with integer labels, by name or from the user's own files.

One file a kind: ``digits`` (scikit-learn), ``named`` (TensorFlow Datasets), ``npz``, ``folder`` (image folders and
archives of them); ``bam`` makes images of objects in scenes; ``colored`` turns grey images to coloured ones.
"""

from tf_ganmex.datasets.bam import prepare_bam
from tf_ganmex.datasets.colored import colored
from tf_ganmex.datasets.dataset import Dataset
from tf_ganmex.datasets.load import load_dataset

__all__ = ["Dataset", "colored", "load_dataset", "prepare_bam"]
