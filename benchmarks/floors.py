"""What a computation needs at least: operations counted from the layers, and bytes that have to be moved.

Counted is the plain computation: every step of a path, and every changed image, through the whole network. A method
that does the same with fewer operations may be faster than its floor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.case import Task
from benchmarks.layers import Layer
from benchmarks.machine import Machine

FLOAT = 4  # bytes


@dataclass(frozen=True)
class Work:
    """Operations (a multiply-add is two) and bytes."""

    operations: float
    bytes: float

    def __mul__(self, times: float) -> Work:
        return Work(self.operations * times, self.bytes * times)

    def __add__(self, other: Work) -> Work:
        return Work(self.operations + other.operations, self.bytes + other.bytes)


def forward(layers: Sequence[Layer]) -> Work:
    """One image through the network: what layers with weights compute, read and write; the rest may be fused."""
    weighted = [layer for layer in layers if "kernel" in layer.arrays]
    operations = sum(2 * multiply_adds(layer) for layer in weighted)
    moved = sum(np.prod(layer.before) + np.prod(layer.after) for layer in weighted)
    return Work(float(operations), float(FLOAT * moved))


def gradient(layers: Sequence[Layer]) -> Work:
    """Forward, and back to the image: each product once more, with the kernel turned round; no gradients of weights."""
    return forward(layers) * 2


def multiply_adds(layer: Layer) -> int:
    """Of one image in a layer with weights."""
    kernel = layer.arrays["kernel"]
    if layer.kind == "dense":
        return kernel.size
    return int(np.prod(layer.after[:2])) * kernel.size  # a depthwise kernel is (h, w, channels, 1)


def path(layers: Sequence[Layer], task: Task) -> Work:
    """A gradient for each step."""
    return gradient(layers) * task.steps


def every_feature(layers: Sequence[Layer], task: Task) -> Work:
    """The image, and one with each of its features changed."""
    return forward(layers) * (1 + float(np.prod(layers[0].before)))


def twins(layers: Sequence[Layer], task: Task) -> Work:
    """Image and baselines forward, and back for each baseline (task.steps of them)."""
    return forward(layers) + (forward(layers) * 2) * task.steps


def training_step(generator: Work, discriminator: Work, classifier: Work, batch: int) -> Work:
    """Both updates of a GAN from one pass of the generator; ``generator``, ... are one image forward.

    The generator: forward, and back to weights and activations (3). The discriminator: forward and back to the image
    for the generator's update (2), forward and back to its weights for real and generated images (2 times 3), and for
    the gradient penalty forward, back to the image, and back through both (2 times 3). The classifier: forward and
    back (2).
    """
    return (generator * 3 + discriminator * (2 + 6 + 6) + classifier * 2) * batch


def search(candidates: int, features: int) -> Work:
    """One query beside all candidates, by products; a candidate is read once for all queries, and counts nothing."""
    return Work(2.0 * candidates * features, FLOAT * features)


def seconds(work: Work, machine: Machine) -> float:
    """The time that the machine needs for it at its measured rates, whichever of both takes longer."""
    return max(work.operations / machine.operations, work.bytes / machine.bandwidth)
