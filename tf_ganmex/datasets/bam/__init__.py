"""BAM: objects of COCO pasted into scenes, every pair of an object and a scene a class.

``coco`` cuts objects out, ``scenes`` finds scene folders, ``composites`` puts them together, ``builder`` is the
TensorFlow Datasets builder, ``prepared`` makes and reads its copy.
"""

from tf_ganmex.datasets.bam.prepared import is_bam, load_bam, prepare_bam

__all__ = ["is_bam", "load_bam", "prepare_bam"]
