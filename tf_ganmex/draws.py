"""Random draws keyed by a seed and an image, so that neither batch size nor order changes them."""

from __future__ import annotations

import hashlib

import numpy as np


def image_generator(image: np.ndarray, seed: int, purpose: str) -> np.random.Generator:
    """A generator for one image: the same for the same image, seed and purpose, wherever the image stands."""
    digest = hashlib.blake2b(np.ascontiguousarray(image, np.float32).tobytes(), digest_size=16)
    digest.update(f"{purpose}:{seed}".encode())
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest.digest(), "little")))


def without_replacement(size: int, count: int, generator: np.random.Generator) -> np.ndarray:
    """``count`` indices below ``size``, none drawn again before all have been."""
    if count <= size:
        return generator.choice(size, count, replace=False)
    rounds = [generator.permutation(size) for _ in range(-(-count // size))]
    return np.concatenate(rounds)[:count]


def other_classes(labels: np.ndarray, num_classes: int, seed: int) -> np.ndarray:
    """For each label (n,) a class that is not it, all of them equally likely."""
    return (labels + np.random.default_rng(seed).integers(1, num_classes, len(labels))) % num_classes
