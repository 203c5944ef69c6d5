"""Paste objects of COCO into scenes: makes the dataset "bam", whose every image tells which pixels are the object."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

from tf_ganmex.cli.common import import_tensorflow, positive, say

EXAMPLES = """examples:
  ganmex prepare-bam --coco ~/coco --scenes ~/miniplaces --data-dir ~/data
  ganmex prepare-bam --coco ~/coco --scenes ~/places365 --objects dog truck --scene-classes bedroom ski_slope
  ganmex train-classifier bam --data-dir ~/data --out bam.keras                  (what to do with it)

COCO: train2017/ and annotations/instances_train2017.json (train2017.zip and annotations_trainval2017.zip of
https://cocodataset.org). Scenes: MiniPlaces or Places365 as they unpack, or any SCENE/*.jpg.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("--coco", type=Path, required=True, metavar="DIR", help="COCO's folder, or an instances_*.json")
    parser.add_argument("--scenes", type=Path, required=True, metavar="DIR", help="a folder of scene folders")
    parser.add_argument("--data-dir", type=Path, help="where to store it (default: that of TensorFlow Datasets)")
    parser.add_argument("--objects", nargs="+", default=["pizza", "stop sign"], metavar="NAME",
                        help='COCO categories (default: pizza "stop sign")')  # fmt: skip
    parser.add_argument("--scene-classes", nargs="+", default=["bedroom", "bamboo_forest"], metavar="NAME",
                        help="scene folders (default: bedroom bamboo_forest)")  # fmt: skip
    parser.add_argument("--image-size", type=positive, nargs="+", default=[128], metavar="PIXELS",
                        help="height and width (default: 128)")  # fmt: skip
    parser.add_argument("--train-per-class", type=positive, default=900, help="images of a class (default: 900)")
    parser.add_argument("--test-per-class", type=positive, default=100, help="images of a class (default: 100)")
    parser.add_argument("--test-share", type=float, default=0.1, metavar="SHARE",
                        help="of the photographs of an object, or of a scene, for testing (default: 0.1)")  # fmt: skip
    parser.add_argument("--min-object-size", type=positive, default=40, metavar="PIXELS",
                        help="longer side of an object in its photograph (default: 40)")  # fmt: skip
    parser.add_argument("--instances", choices=["largest", "all"], default="largest",
                        help="objects to take of a photograph (default: largest)")  # fmt: skip
    parser.add_argument("--share-objects", action="store_true",
                        help="the same objects in both splits, where there are too few photographs")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of all draws (default: 0)")


def run(options: argparse.Namespace) -> None:
    """Makes the images and stores them."""
    from tf_ganmex.errors import OptionError

    if len(options.image_size) > 2:
        raise OptionError(f"Expected one or two numbers for --image-size. Received: {options.image_size}.")
    import_tensorflow()
    from tf_ganmex.datasets import prepare_bam

    settings = {name: value for name, value in vars(options).items() if name not in ("command", "image_size")}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        folder = prepare_bam(**settings, image_size=tuple(options.image_size * 2)[:2])
    for warning in caught:
        if warning.category is UserWarning:
            say(f"note: {warning.message}")
    where = f" --data-dir {options.data_dir}" if options.data_dir else ""
    print(f"bam in {folder}: ganmex train-classifier bam{where} --out bam.keras")
