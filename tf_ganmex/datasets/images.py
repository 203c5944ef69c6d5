"""Image files as arrays."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from PIL import Image, ImageOps

from tf_ganmex.datasets.files import ImageFile
from tf_ganmex.errors import DatasetError

__all__ = ["decode", "decode_all"]

# Pillow knows formats that start other programs (EPS); these do not.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "PPM", "TIFF")
CHUNK = 32  # files that a thread decodes at a time
SMALL_FILE = 4096  # bytes; two threads were 1.4 times slower than one at 900 bytes a file, 1.7 times faster at 25,000


def decode_all(files: Sequence[ImageFile], size: tuple[int, int] | None, grayscale: bool | None) -> np.ndarray:
    """Reads image files, several at a time.

    Args:
        files: n image files.
        size: height and width to bring them to; None: as they are.
        grayscale: True: one channel; False: three; None: one if all images are grey, else three.

    Returns:
        Float32 in [0, 1], shape (n, h, w, c), in the order of the files.

    Raises:
        DatasetError: a file that is no image, or images of different sizes.
    """
    images: list[np.ndarray] = []
    for image in _decode_in_order(files, partial(decode, size=size, grayscale=grayscale)):
        if images and image.shape[:2] != images[0].shape[:2]:
            raise _unequal(files[0].name, images[0], files[len(images)].name, image)
        images.append(image)
    # Grey images among coloured ones are repeated by broadcasting.
    channels = max(image.shape[-1] for image in images)
    batch = np.empty((len(images), *images[0].shape[:2], channels), np.float32)
    for row, image in zip(batch, images, strict=True):
        np.divide(image, 255 if image.dtype == np.uint8 else 1, out=row, dtype=np.float32)
    return batch


def _decode_in_order(files: Sequence[ImageFile], decode_one: Callable[[ImageFile], np.ndarray]) -> Iterator[np.ndarray]:
    """Decodes in several threads where that pays: below some kilobytes they only wait for the interpreter's lock."""
    pool = ThreadPoolExecutor(_workers(files[0]))
    chunks = [files[start : start + CHUNK] for start in range(0, len(files), CHUNK)]
    try:
        for images in pool.map(lambda chunk: [decode_one(file) for file in chunk], chunks):
            yield from images
    finally:
        pool.shutdown(cancel_futures=True)


def _workers(file: ImageFile) -> int:
    try:
        small = len(file.read()) < SMALL_FILE
    except OSError:  # decoding it reports it
        small = True
    return 1 if small else min(32, os.cpu_count() or 1)


def decode(file: ImageFile, *, size: tuple[int, int] | None = None, grayscale: bool | None = None) -> np.ndarray:
    """Reads one image: the first frame, turned upright, on white where it is transparent.

    Args:
        file: the file.
        size: height and width; the short side is resized (bilinear, antialiased), the centre kept. None: as it is.
        grayscale: True: one channel; False: three; None: one for a grey image, three for any other, palettes
            included.

    Returns:
        Shape (h, w, 1) or (h, w, 3); uint8, or float32 in [0, 1] for images of more than 8 bits a pixel.

    Raises:
        DatasetError: the file is no image, is damaged, or has no known full scale.
    """
    try:
        with Image.open(io.BytesIO(file.read()), formats=FORMATS) as opened:
            image = _plain(ImageOps.exif_transpose(opened))
    except DatasetError:
        raise
    except Exception as error:  # Pillow raises whatever its decoders stumble on: OSError, SyntaxError, struct.error, …
        raise DatasetError(
            f"Expected an image. Received: {file.name!r}, which cannot be read: {error}. Replace or remove it."
        ) from error
    if image.mode == "F":
        _check_range(file.name, image)
    elif grayscale is not None:
        image = image.convert("L" if grayscale else "RGB")
    if size is not None and image.size != size[::-1]:
        image = ImageOps.fit(image, size[::-1], method=Image.Resampling.BILINEAR)
    pixels = np.asarray(image)
    pixels = pixels[..., np.newaxis] if pixels.ndim == 2 else pixels
    return np.repeat(pixels, 3, axis=-1) if grayscale is False and pixels.shape[-1] == 1 else pixels


def _plain(image: Image.Image) -> Image.Image:
    """Any mode as L (8-bit grey), RGB, or F (grey of more bits, full scale 1)."""
    if image.mode.startswith("I"):
        return Image.fromarray(np.asarray(image).astype(np.float32) / 65535)
    if image.mode in ("L", "RGB", "F") and "transparency" not in image.info:
        return image
    if image.mode == "1":
        return image.convert("L")
    plain = "L" if image.mode in ("L", "LA", "La") else "RGB"
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(plain)


def _check_range(name: str, image: Image.Image) -> None:
    pixels = np.asarray(image)
    low, high = pixels.min(), pixels.max()
    if not (low >= 0 and high <= 1):
        raise DatasetError(
            f"Expected pixels of 8 or 16 bits, or floating point in [0, 1]. Received: {name!r} with pixels from "
            f"{low} to {high} of full scale. Save it as a PNG of 8 or 16 bits."
        )


def _unequal(first_name: str, first: np.ndarray, second_name: str, second: np.ndarray) -> DatasetError:
    sizes = [f"{image.shape[0]}x{image.shape[1]}" for image in (first, second)]
    short = min(*first.shape[:2], *second.shape[:2])
    return DatasetError(
        f"Expected images of one size (height x width). Received: {first_name!r} of {sizes[0]} and {second_name!r} "
        f"of {sizes[1]}. Pass image_size=(height, width), for example image_size=({short}, {short}), "
        f"or --image-size {short} {short}."
    )
