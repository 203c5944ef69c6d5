"""Grey images in red, green and blue: the published rule, the random one, and where they are asked for."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tf_ganmex as gx
from tf_ganmex.cli import main
from tf_ganmex.cli.common import add_dataset_options, read_dataset
from tf_ganmex.datasets import load_dataset
from tf_ganmex.datasets.colored import colored
from tf_ganmex.errors import ImageError, OptionError

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
RULES = ("published", "random")


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits")


def grey(pixels, labels=None) -> gx.Dataset:
    """A dataset whose train and test images are these uint8 pixels, (n, h, w)."""
    x = (np.asarray(pixels, np.uint8) / np.float32(255))[..., np.newaxis]
    y = np.zeros(len(x), np.int64) if labels is None else np.asarray(labels, np.int64)
    return gx.Dataset(x, y, x, y, ["a", "b"], "hand")


def color_of(images) -> np.ndarray:
    """The one channel that is not black, of images that have one."""
    lit = images.any(axis=(1, 2))
    assert (lit.sum(-1) == 1).all()
    return lit.argmax(-1)


@pytest.mark.parametrize(
    ("pixels", "color"),
    [
        ([[3, 0], [0, 0]], "red"),
        ([[4, 0], [0, 0]], "green"),
        ([[2, 3], [0, 0]], "blue"),
        ([[255, 0], [0, 0]], "red"),
        ([[255, 1], [0, 0]], "red"),  # 256 wraps to 0; 256 mod 3 would be 1
        ([[255, 2], [0, 0]], "green"),  # 257 wraps to 1; 257 mod 3 would be 2
        ([[200, 100], [50, 8]], "red"),  # 358 wraps to 102
        ([[255, 255], [255, 255]], "red"),  # 1020 wraps to 252
        ([[255, 255], [3, 1]], "blue"),  # 514 wraps to 2; 514 mod 3 would be 1
    ],
)
def test_the_published_colour_is_the_wrapping_sum_mod_3(pixels, color):
    data = colored(grey([pixels]), labels="color")
    assert [data.class_names[label] for label in data.y_test] == [color]
    channel = ["red", "green", "blue"].index(color)
    np.testing.assert_array_equal(data.x_test[0, ..., channel], np.array(pixels, np.float32) / 255)
    assert not np.delete(data.x_test[0], channel, axis=-1).any()


def test_every_uint8_value_comes_back_from_floating_point():
    values = np.arange(1, 256)
    data = colored(grey(values.reshape(-1, 1, 1)))
    np.testing.assert_array_equal(color_of(data.x_train), values % 3)


def test_pixels_between_two_uint8_values_go_to_the_nearest():
    x = np.array([3.4, 3.6, 254.7], np.float32).reshape(-1, 1, 1, 1) / 255
    data = replace(grey(np.ones((3, 1, 1))), x_train=x)
    np.testing.assert_array_equal(color_of(colored(data).x_train), [0, 1, 0])


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("labels", ["class", "color"])
def test_images_are_painted_and_labelled_and_otherwise_unchanged(digits, rule, labels):
    data = colored(digits, labels=labels, rule=rule)
    for split in ("train", "test"):
        x, y = getattr(digits, f"x_{split}"), getattr(digits, f"y_{split}")
        painted, label = getattr(data, f"x_{split}"), getattr(data, f"y_{split}")
        np.testing.assert_array_equal(painted.sum(-1, keepdims=True), x)
        np.testing.assert_array_equal(label, y if labels == "class" else color_of(painted))
    assert data.image_shape == (28, 28, 3)
    assert data.class_names == (digits.class_names if labels == "class" else ["red", "green", "blue"])


@pytest.mark.parametrize("rule", RULES)
def test_a_third_of_the_digits_has_each_colour_whatever_the_digit(digits, rule):
    colors = color_of(colored(digits, rule=rule).x_train)
    shares = np.bincount(colors, minlength=3) / len(colors)
    assert (np.abs(shares - 1 / 3) < 0.05).all()  # four standard deviations
    for digit in range(10):
        of_digit = np.bincount(colors[digits.y_train == digit], minlength=3)
        assert (np.abs(of_digit / of_digit.sum() - 1 / 3) < 0.17).all()


@pytest.mark.parametrize("rule", RULES)
def test_a_colour_depends_on_neither_order_nor_subset_nor_split(digits, rule):
    chosen = np.random.default_rng(0).permutation(len(digits.x_train))[:100]
    part = replace(
        digits,
        x_train=digits.x_test,
        y_train=digits.y_test,
        x_test=digits.x_train[chosen],
        y_test=digits.y_train[chosen],
    )
    whole, subset = colored(digits, rule=rule), colored(part, rule=rule)
    np.testing.assert_array_equal(subset.x_test, whole.x_train[chosen])
    np.testing.assert_array_equal(subset.x_train, whole.x_test)


def test_the_seed_decides_the_random_colours_and_no_others(digits):
    def colors(rule, seed):
        return color_of(colored(digits, rule=rule, seed=seed).x_test)

    np.testing.assert_array_equal(colors("random", 1), colors("random", 1))
    assert 0.2 < (colors("random", 0) == colors("random", 1)).mean() < 0.47  # a third, five standard deviations
    np.testing.assert_array_equal(colors("published", 0), colors("published", 1))
    assert 0.2 < (colors("published", 0) == colors("random", 0)).mean() < 0.47


def test_the_name_tells_the_options(digits):
    options = [
        {"labels": labels, "rule": rule, "seed": seed}
        for labels in ("class", "color")
        for rule, seed in (("published", 0), ("random", 0), ("random", 1))
    ]
    small = replace(digits, x_train=digits.x_train[:3], y_train=digits.y_train[:3])
    names = [colored(small, **each).name for each in options]
    assert names[0] == "colored_digits"
    assert len(set(names)) == len(options)
    assert all(name.startswith("colored_digits") for name in names)


@pytest.mark.parametrize("channels", [2, 3])
def test_images_with_colours_are_refused(channels):
    data = grey(np.ones((2, 4, 4)))
    x = np.repeat(data.x_train, channels, axis=-1)
    with pytest.raises(ImageError, match=rf"of one channel.*'hand'.*\(4, 4, {channels}\).*grayscale=True"):
        colored(replace(data, x_train=x, x_test=x))


@pytest.mark.parametrize("option", ["labels", "rule"])
@pytest.mark.parametrize("value", ["colour", None, 1])
def test_other_options_are_refused(digits, option, value):
    with pytest.raises(OptionError, match=rf"Expected {option} as '.*Received: {option}={value!r}"):
        colored(digits, **{option: value})


def test_it_is_reached_through_the_package(digits):
    assert gx.datasets.colored is colored


@pytest.fixture
def local_mnist(tmp_path):
    """A folder with a small ``mnist.npz`` of random pixels."""
    pixels = np.random.default_rng(0).integers(0, 256, (12, 28, 28), np.uint8)
    np.savez(tmp_path / "mnist.npz", x_train=pixels, y_train=np.arange(12) % 10, x_test=pixels[:5], y_test=[1] * 5)
    return tmp_path


@pytest.mark.parametrize("size", [None, 20])
def test_coloured_mnist_by_name(local_mnist, size):
    data = load_dataset("colored_mnist", data_dir=local_mnist, image_size=size)
    by_hand = colored(load_dataset("mnist", data_dir=local_mnist, image_size=size))
    for field in ("x_train", "y_train", "x_test", "y_test"):
        np.testing.assert_array_equal(getattr(data, field), getattr(by_hand, field))
    assert data.name == "colored_mnist"
    assert data.class_names == by_hand.class_names
    assert data.image_shape == (size or 28, size or 28, 3)


def test_coloured_mnist_as_grey_again(local_mnist):
    assert load_dataset("colored_mnist", data_dir=local_mnist, grayscale=True).image_shape == (28, 28, 1)


def test_the_colours_of_mnist():
    if not (DATA / "mnist.npz").exists():
        pytest.skip("mnist.npz is not in ../shared/data")
    with np.load(DATA / "mnist.npz") as arrays:
        pixels, labels = arrays["x_test"], arrays["y_test"]
    data = load_dataset("colored_mnist", data_dir=DATA)
    colors = pixels.sum(axis=(1, 2), dtype=np.int64) % 256 % 3
    np.testing.assert_array_equal(color_of(data.x_test), colors)
    np.testing.assert_array_equal(data.x_test[np.arange(10000), :, :, colors], pixels / np.float32(255))
    np.testing.assert_array_equal(data.y_test, labels)
    assert (np.abs(np.bincount(colors) / 10000 - 1 / 3) < 0.02).all()


def read(name: str, *arguments: str) -> gx.Dataset:
    """What a command reads with these options."""
    parser = argparse.ArgumentParser()
    add_dataset_options(parser)
    return read_dataset(parser.parse_args(arguments), name)


@pytest.mark.parametrize("labels", ["class", "color"])
def test_the_command_line_colours_what_it_reads(digits, labels):
    data = read("digits", "--colored", labels)
    np.testing.assert_array_equal(data.x_test, colored(digits).x_test)
    np.testing.assert_array_equal(data.y_test, colored(digits, labels=labels).y_test)
    assert data.name == colored(digits, labels=labels).name
    assert read("digits").name == "digits"


def test_the_command_line_refuses_to_colour_coloured_images(local_mnist):
    with pytest.raises(ImageError, match="of one channel"):
        read("colored_mnist", "--data-dir", str(local_mnist), "--colored", "color")


@pytest.mark.parametrize("command", ["train-classifier", "train", "explain"])
def test_every_command_that_reads_a_dataset_has_the_option(command, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert "--colored {class,color}" in capsys.readouterr().out
