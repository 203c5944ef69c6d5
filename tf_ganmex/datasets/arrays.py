"""Images that come as arrays: their scale, size and channels."""

from __future__ import annotations

import operator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from PIL import Image, ImageOps

from tf_ganmex.datasets.dataset import Dataset
from tf_ganmex.errors import ImageError, OptionError

__all__ = ["fit_dataset", "parse_size", "unit_images"]

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, which Pillow uses too
FULL_SCALE = {"b1": 1, "u1": 255, "u2": 65535}


def parse_size(image_size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    """Height and width from one number or two."""
    if image_size is None:
        return None
    try:
        height, width = image_size if isinstance(image_size, (tuple, list)) else (image_size, image_size)
        height, width = operator.index(height), operator.index(width)
    except (TypeError, ValueError):
        height = width = 0
    if min(height, width) < 1:
        raise OptionError(
            "Expected image_size as a number of pixels or (height, width). "
            f"Received: image_size={image_size!r}. Try image_size=64 or image_size=(64, 96)."
        )
    return height, width


def unit_images(key: str, images: np.ndarray) -> np.ndarray:
    """Brings an array of images to float32 in [0, 1], channels last.

    Args:
        key: the array's name, for messages.
        images: shape (n, h, w) or (n, h, w, c); uint8 (divided by 255), uint16 (by 65535), bool, or floating point
            in [0, 1] (kept).

    Returns:
        Shape (n, h, w, c), float32.

    Raises:
        ImageError: another shape, type or range, or NaN.
    """
    _check_shape(key, images)
    images = images[..., np.newaxis] if images.ndim == 3 else images
    full_scale = FULL_SCALE.get(images.dtype.str[1:])  # [1:]: of either byte order
    if full_scale is not None:
        unit = images.astype(np.float32)
        unit /= full_scale
        return unit
    if images.dtype.kind != "f":
        raise ImageError(
            f"Expected {key} as uint8 (0 .. 255), uint16 (0 .. 65535) or floating point in [0, 1]. "
            f"Received: dtype={images.dtype}. Convert it, for example with {key}.astype('uint8')."
        )
    if not np.isfinite(images).all():
        raise ImageError(f"Expected {key} without NaN or infinity. Received: some. Drop or repair those images.")
    low, high = images.min(), images.max()
    if low < 0 or high > 1:
        raise ImageError(
            f"Expected floating point {key} in [0, 1]. Received: minimum={low}, maximum={high}. "
            "Scale it, or save it as uint8 if it holds 0 .. 255."
        )
    return images.astype(np.float32)


def _check_shape(key: str, images: np.ndarray) -> None:
    if images.ndim not in (3, 4) or 0 in images.shape:
        raise ImageError(
            f"Expected {key} of shape (n, h, w) or (n, h, w, c), not empty. Received: shape={images.shape}. Reshape it."
        )
    if images.ndim == 4 and images.shape[1] in (1, 3) and images.shape[3] > 4:
        raise ImageError(
            f"Expected {key} with channels last, (n, h, w, c). Received: shape={images.shape}, channels first. "
            f"Transpose it: {key}.transpose(0, 2, 3, 1)."
        )


def fit_dataset(data: Dataset, size: tuple[int, int] | None, grayscale: bool | None) -> Dataset:
    """Resizes and recolours both splits; nothing to do where both options are None."""
    if size in (None, data.image_shape[:2]) and grayscale is None:
        return data
    x_train, x_test = (_resize(_recolour(x, grayscale), size) for x in (data.x_train, data.x_test))
    masks_train, masks_test = (_resize_masks(masks, size) for masks in (data.masks_train, data.masks_test))
    return replace(data, x_train=x_train, x_test=x_test, masks_train=masks_train, masks_test=masks_test)


def _recolour(images: np.ndarray, grayscale: bool | None) -> np.ndarray:
    channels = images.shape[-1]
    if grayscale is None or channels == (1 if grayscale else 3):
        return images
    if channels not in (1, 3):
        raise ImageError(
            f"Expected images of 1 or 3 channels to convert. Received: {channels} channels with "
            f"grayscale={grayscale}. Leave grayscale=None."
        )
    if grayscale:
        return np.clip(images @ LUMA[:, np.newaxis], 0, 1)
    return np.repeat(images, 3, axis=-1)


def _resize_masks(masks: np.ndarray | None, size: tuple[int, int] | None) -> np.ndarray | None:
    """A pixel is in where half of it is."""
    return None if masks is None else _resize(masks.astype(np.float32), size) >= 0.5


def _resize(images: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """The rule of image files (``images.decode``), on floating point: short side, bilinear, antialiased, centre."""
    if size is None or size == images.shape[1:3]:
        return images
    resized = np.empty((len(images), *size, images.shape[-1]), np.float32)

    def fit(index: int) -> None:
        for channel in range(images.shape[-1]):
            plane = Image.fromarray(np.ascontiguousarray(images[index, ..., channel]))
            fitted = ImageOps.fit(plane, size[::-1], method=Image.Resampling.BILINEAR)
            resized[index, ..., channel] = np.asarray(fitted)

    with ThreadPoolExecutor() as pool:
        list(pool.map(fit, range(len(images))))
    return np.clip(resized, 0, 1, out=resized)
