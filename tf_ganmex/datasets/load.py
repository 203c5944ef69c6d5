"""``load_dataset``: which loader a name or a path goes to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from tf_ganmex.datasets.arrays import fit_dataset, parse_size
from tf_ganmex.datasets.bam import is_bam, load_bam
from tf_ganmex.datasets.colored import colored
from tf_ganmex.datasets.dataset import Dataset
from tf_ganmex.datasets.digits import load_digits
from tf_ganmex.datasets.files import archive_kind
from tf_ganmex.datasets.folder import load_folder
from tf_ganmex.datasets.named import DOWNLOADS, load_named
from tf_ganmex.datasets.npz import load_npz
from tf_ganmex.errors import DatasetError, OptionError

__all__ = ["load_dataset"]

COLORED_MNIST = "colored_mnist"
NAMES = ("digits", *DOWNLOADS, COLORED_MNIST, "bam")


def load_dataset(
    name_or_path: str | os.PathLike[str],
    *,
    data_dir: str | os.PathLike[str] | None = None,
    image_size: int | tuple[int, int] | None = None,
    grayscale: bool | None = None,
    classes: Sequence[str] | None = None,
    test_fraction: float = 0.2,
    seed: int = 0,
) -> Dataset:
    """Loads a dataset by name, or the user's own images.

    ``load_dataset("digits")`` is scikit-learn's 1,797 handwritten digits, brought from 8x8 to 28x28, and needs no
    download. ``"mnist"``, ``"svhn_cropped"``, ``"cifar10"`` and ``"apple2orange"`` (CycleGAN's) come through
    TensorFlow Datasets; ``"colored_mnist"`` is ``mnist`` (of that ``image_size``) through
    :func:`tf_ganmex.datasets.colored`, which with ``labels="color"`` takes the colours for labels.

    ``"bam"``, objects in scenes, is what :func:`tf_ganmex.datasets.prepare_bam` made, with the objects' masks; where
    there are several in ``data_dir``, ``"bam/CLASSES"`` is one of them.

    A path is an ``.npz`` of ``x_train, y_train, x_test, y_test`` (Keras's ``mnist.npz`` is one), a folder with a
    folder of images per class, with or without ``train`` and ``test`` (or ``val``) folders above, or a zip or tar of
    such a folder. A folder with ``trainA``, ``trainB``, ``testA`` and ``testB``, as CycleGAN's datasets come, has the
    classes A (0) and B (1), called X and Y where the folder is called X2Y.

    Images of folders and of ``apple2orange`` come mixed, in an order fixed by ``seed``, so that the first n hold
    every class; arrays keep their order. Images of folders are turned upright by their EXIF tag; transparent pixels
    become white; a folder of grey images only has one channel, any other has three.

    All images are held in memory, 4 bytes a value, and about twice that while they are read: 0.2 GB for ``mnist``,
    0.7 GB for ``cifar10``, 1.2 GB for ``svhn_cropped`` (whose 531,131 extra images are downloaded, but not read),
    2.0 GB for ``apple2orange`` at 256x256 (0.1 GB at 64x64).

    Args:
        name_or_path: a name (``digits``, ``mnist``, ``svhn_cropped``, ``cifar10``, ``apple2orange``,
            ``colored_mnist``, ``bam``) or a path. A name wins over a file so called: write ``./mnist`` for the file.
        data_dir: for names only: where TensorFlow Datasets keeps its data, or a folder with ``NAME.npz``
            (``mnist.npz`` for ``colored_mnist``). None: its default.
        image_size: height and width in pixels, or one number for both. The short side is resized (bilinear,
            antialiased) and the centre kept. None: as they are, all of one size; ``apple2orange``: 256x256.
        grayscale: True: one channel; False: three; None: as they are.
        classes: the names of the classes to keep, two or more, numbered in this order. None: all.
        test_fraction: in (0, 1), of each class, where the data has no test split of its own.
        seed: of that split, and of the order of the images where they come mixed.

    Returns:
        The images, float32 in [0, 1], and their labels.

    Raises:
        DatasetError: no such dataset, one that cannot be had, or files that do not hold what they should.
        ImageError: arrays of the wrong shape, type or value range.
        LabelError: labels that are no class numbers, or do not match the images.
        OptionError: an ``image_size`` or ``test_fraction`` out of range.
    """
    size = parse_size(image_size)
    if not 0 < test_fraction < 1:
        raise OptionError(f"Expected test_fraction between 0 and 1. Received: test_fraction={test_fraction}. Try 0.2.")
    data = _load(name_or_path, data_dir, size, grayscale, test_fraction, seed)
    return data if classes is None else data.only(classes)


def _load(
    name_or_path: str | os.PathLike[str],
    data_dir: str | os.PathLike[str] | None,
    size: tuple[int, int] | None,
    grayscale: bool | None,
    test_fraction: float,
    seed: int,
) -> Dataset:
    if name_or_path == "digits":
        return fit_dataset(load_digits(test_fraction=test_fraction, seed=seed), size, grayscale)
    if isinstance(name_or_path, str) and name_or_path in DOWNLOADS:
        return load_named(name_or_path, data_dir, size=size, grayscale=grayscale, seed=seed)
    if name_or_path == COLORED_MNIST:  # coloured at the size asked for, as colored(load_dataset("mnist", ...)) is
        return fit_dataset(colored(load_named("mnist", data_dir, size=size)), None, grayscale)
    if is_bam(name_or_path):
        return fit_dataset(load_bam(os.fspath(name_or_path), data_dir), size, grayscale)
    path = Path(name_or_path).expanduser()
    if path.is_file() and path.suffix.lower() == ".npz":
        return fit_dataset(load_npz(path), size, grayscale)
    if (name_or_path and path.is_dir()) or (path.is_file() and archive_kind(path)):
        return load_folder(path, size=size, grayscale=grayscale, test_fraction=test_fraction, seed=seed)
    raise _unknown(name_or_path, path)


def _unknown(name_or_path: str | os.PathLike[str], path: Path) -> DatasetError:
    kinds = ".npz, a folder of class folders, or a zip or tar of one"
    if path.is_file():
        return DatasetError(
            f"Expected a file of one of these kinds: {kinds}. Received: {os.fspath(name_or_path)!r}, "
            "which is none of them by its name. Convert or rename it."
        )
    return DatasetError(
        f"Unknown dataset: expected one of {', '.join(NAMES)}, or the path of {kinds}. "
        f"Received: {os.fspath(name_or_path)!r}, and no such file in {Path.cwd()}. Check the spelling."
    )
