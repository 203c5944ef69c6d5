"""The TensorFlow Datasets builder. Importing this module imports tensorflow_datasets, and registers ``bam`` with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from tf_ganmex.datasets.bam.composites import SPLITS, BamOptions, Composites, identifier

__all__ = ["Bam", "BamConfig"]


@dataclass
class BamConfig(tfds.core.BuilderConfig):
    """Where the photographs are, and what to make of them.

    Args:
        coco: COCO's folder, or one of its ``instances_*.json`` files.
        scenes: a folder of scene folders.
        options: what to make.
    """

    coco: Path = Path("coco")
    scenes: Path = Path("places")
    options: BamOptions = field(default_factory=BamOptions)


class Bam(tfds.core.GeneratorBasedBuilder):
    """Objects of COCO pasted into scenes of MiniPlaces or Places365; every pair of object and scene is a class.

    Reference:
        Yang and Kim, "Benchmarking Attribution Methods with Relative Feature Importance", arXiv:1907.09701;
        four of its classes in Shih et al., "GANMEX", arXiv:2011.06015.
    """

    VERSION = tfds.core.Version("1.0.0")
    builder_config: BamConfig

    def _info(self) -> tfds.core.DatasetInfo:
        options = self.builder_config.options
        size = options.image_size
        features = {
            "image": tfds.features.Image(shape=(*size, 3), encoding_format="png"),
            "label": tfds.features.ClassLabel(names=options.class_names),
            "mask": tfds.features.Image(shape=(*size, 1), encoding_format="png"),
            "object": tfds.features.ClassLabel(names=[identifier(name) for name in options.objects]),
            "scene": tfds.features.ClassLabel(names=[identifier(name) for name in options.scene_classes]),
            "object_source": tfds.features.Text(),
            "scene_source": tfds.features.Text(),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=(self.__doc__ or "").splitlines()[0],
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", "label"),
            homepage="https://github.com/google-research-datasets/bam",
            metadata=tfds.core.MetadataDict(json.loads(json.dumps(asdict(options)))),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[Any]]:
        config = self.builder_config
        composites = Composites(config.coco, config.scenes, config.options)
        return {split: self._generate_examples(composites, split) for split in SPLITS}

    def _generate_examples(self, composites: Composites, split: str) -> Iterator[tuple[str, dict[str, Any]]]:
        yield from composites.examples(split)
