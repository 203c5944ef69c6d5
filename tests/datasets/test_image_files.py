"""Single image files: modes, depth, transparency, orientation, size."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from tf_ganmex.datasets.files import ImageFile
from tf_ganmex.datasets.images import decode, decode_all
from tf_ganmex.errors import DatasetError

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (9, 12, 3), np.uint8)
GREY = COLOUR[..., 0]


def image_file(image, suffix="png", name="x/a", **options) -> ImageFile:
    buffer = io.BytesIO()
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    image.save(buffer, {"jpg": "jpeg", "ppm": "ppm", "tif": "tiff"}.get(suffix, suffix), **options)
    return ImageFile(f"{name}.{suffix}", buffer.getvalue)


def unit(image: np.ndarray) -> np.ndarray:
    return decode_all([image], None, None)[0]


@pytest.mark.parametrize("suffix", ["png", "bmp", "ppm", "tif"])
def test_lossless_formats_keep_every_pixel(suffix):
    np.testing.assert_array_equal(decode(image_file(COLOUR, suffix)), COLOUR)
    np.testing.assert_array_equal(decode(image_file(GREY, suffix)), GREY[..., np.newaxis])


@pytest.mark.parametrize(("suffix", "options"), [("jpg", {"quality": 95}), ("webp", {"quality": 95}), ("gif", {})])
def test_lossy_formats_come_close(suffix, options):
    ramp = np.broadcast_to(np.linspace(0, 255, 32, dtype=np.uint8)[:, np.newaxis, np.newaxis], (32, 32, 3))
    decoded = decode(image_file(np.ascontiguousarray(ramp), suffix, **options))
    assert decoded.shape in [(32, 32, 3), (32, 32, 1)]
    assert np.abs(decoded.astype(int) - ramp).mean() < 4


def test_sixteen_bits_are_scaled_by_their_own_maximum():
    deep = (GREY.astype(np.uint16) << 8) | 0x7F
    deep[0, 0] = 65535
    for suffix in ("png", "tif", "ppm"):
        np.testing.assert_allclose(decode(image_file(deep, suffix))[..., 0], deep / 65535, atol=1e-7)


def test_floating_point_is_kept_in_range_and_refused_outside():
    fraction = (GREY / 255).astype(np.float32)
    np.testing.assert_array_equal(decode(image_file(fraction, "tif"))[..., 0], fraction)
    with pytest.raises(DatasetError, match=r"x/a\.tif.*2"):
        decode(image_file(fraction * 2, "tif"))
    with pytest.raises(DatasetError, match=r"x/a\.tif"):
        decode(image_file(fraction * np.nan, "tif"))


def test_palettes_become_colours():
    palette = Image.fromarray(COLOUR // 64 * 64).quantize(256)
    np.testing.assert_array_equal(decode(image_file(palette)), np.asarray(palette.convert("RGB")))


def test_one_bit_becomes_black_and_white():
    np.testing.assert_array_equal(decode(image_file(GREY > 100))[..., 0], np.where(GREY > 100, 255, 0))


def test_transparent_pixels_are_white():
    alpha = np.zeros((9, 12), np.uint8)
    alpha[:4], alpha[4:6] = 255, 128
    decoded = decode(image_file(np.dstack([COLOUR, alpha])))
    np.testing.assert_array_equal(decoded[:4], COLOUR[:4])
    np.testing.assert_allclose(decoded[4:6], (COLOUR[4:6] * 128.0 + 255 * 127) / 255, atol=1)
    assert (decoded[6:] == 255).all()


def test_transparency_of_grey_and_palette_images():
    alpha = np.where(np.arange(12) < 6, 255, 0).astype(np.uint8) * np.ones((9, 1), np.uint8)
    grey = decode(image_file(np.dstack([GREY, alpha])))
    assert grey.shape == (9, 12, 1)
    np.testing.assert_array_equal(grey[..., 0], np.where(alpha == 255, GREY, 255))
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    assert (decode(image_file(palette, transparency=1)) == 255).all()
    np.testing.assert_array_equal(decode(image_file(palette))[0, 0], [10, 20, 30])
    keyed = image_file(GREY, transparency=int(GREY[2, 3]))
    np.testing.assert_array_equal(decode(keyed)[..., 0], np.where(GREY[2, 3] == GREY, 255, GREY))


def test_cmyk_becomes_rgb():
    cmyk = Image.fromarray(np.full((8, 8, 3), (200, 100, 50), np.uint8)).convert("CMYK")
    np.testing.assert_allclose(decode(image_file(cmyk, "jpg"))[4, 4], (200, 100, 50), atol=6)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation):
    as_stored = {  # how the camera stored the upright image
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = image_file(np.ascontiguousarray(as_stored(COLOUR)), exif=exif)
    np.testing.assert_array_equal(decode(stored), COLOUR)


def test_first_frame_of_an_animation():
    frames = [Image.fromarray(np.full((5, 5), value, np.uint8)) for value in (200, 20)]
    animated = image_file(frames[0], "gif", save_all=True, append_images=frames[1:])
    assert (decode(animated) == 200).all()


def test_short_side_is_resized_and_the_centre_kept():
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = 255
    np.testing.assert_array_equal(decode(image_file(wide), size=(20, 20)), np.full((20, 20, 3), 255))
    tall = decode(image_file(wide.transpose(1, 0, 2).copy()), size=(10, 10))
    assert tall.shape == (10, 10, 3)
    assert (tall[1:-1] == 255).all()
    assert decode(image_file(wide), size=(12, 30)).shape == (12, 30, 3)


def test_shrinking_is_antialiased():
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 255
    small = decode(image_file(stripes), size=(8, 8))
    assert np.abs(small[:, 1:-1].astype(int) - 127).max() < 6


def test_resizing_keeps_sixteen_bits():
    deep = np.full((8, 8), 257, np.uint16) * np.arange(8, dtype=np.uint16)
    small = decode(image_file(deep), size=(4, 4))
    assert small.dtype == np.float32
    np.testing.assert_allclose(small.mean(), deep.mean() / 65535, rtol=1e-3)


def test_channels_are_converted_on_demand():
    luma = COLOUR @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(decode(image_file(COLOUR), grayscale=True)[..., 0], luma, atol=0.51)
    assert decode(image_file(GREY), grayscale=False).shape == (9, 12, 3)
    assert decode(image_file(GREY.astype(np.uint16)), grayscale=False).shape == (9, 12, 3)


def test_grey_stays_one_channel_unless_a_colour_image_is_among_them():
    grey, colour = image_file(GREY), image_file(COLOUR)
    assert decode_all([grey, grey], None, None).shape == (2, 9, 12, 1)
    mixed = decode_all([grey, colour, grey], None, None)
    assert mixed.dtype == np.float32
    np.testing.assert_array_equal(mixed[1], COLOUR / np.float32(255))
    np.testing.assert_array_equal(mixed[2], np.repeat(GREY[..., np.newaxis], 3, -1) / np.float32(255))


def test_depths_may_be_mixed():
    batch = decode_all([image_file(GREY), image_file(GREY.astype(np.uint16) * 257)], None, None)
    np.testing.assert_allclose(batch[0], batch[1], atol=1e-7)


def test_order_is_that_of_the_files_however_many_threads():
    pictures = RNG.integers(0, 256, (150, 40, 40, 3), np.uint8)  # large enough for several threads
    files = [image_file(picture) for picture in pictures]
    assert len(files[0].read()) > 4096
    np.testing.assert_array_equal(decode_all(files, None, None), pictures.astype(np.float32) / 255)


def test_unequal_sizes_name_two_files_and_the_option():
    files = [image_file(COLOUR, name="a"), image_file(COLOUR, name="b"), image_file(COLOUR[:7], name="c")]
    with pytest.raises(DatasetError, match=r"'a\.png' of 9x12 and 'c\.png' of 7x12\. .*image_size=\(7, 7\)"):
        decode_all(files, None, None)
    assert decode_all(files, (7, 7), None).shape == (3, 7, 7, 3)


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "tif", "webp"])
@pytest.mark.parametrize("cut", [0, 10, 0.5])
def test_damaged_files_are_named(suffix, cut):
    whole = image_file(RNG.integers(0, 256, (40, 40, 3), np.uint8), suffix).read()
    part = whole[: int(cut * len(whole)) if cut == 0.5 else cut]
    with pytest.raises(DatasetError, match=rf"x/b\.{suffix}"):
        decode_all([ImageFile(f"x/b.{suffix}", lambda: part)], None, None)


@pytest.mark.parametrize("format_", ["eps", "pcx"])
def test_other_formats_are_not_opened_under_a_common_name(format_):
    content = image_file(COLOUR, format_).read()
    with pytest.raises(DatasetError, match="cannot be read"):
        decode(ImageFile("x/b.png", lambda: content))
