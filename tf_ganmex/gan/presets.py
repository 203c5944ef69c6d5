"""The published training runs, as far as anything is published about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Preset:
    """The settings of one published run.

    Attributes:
        options: of `GANMEX`.
        generator_learning_rate: of Adam, constant.
        discriminator_learning_rate: of Adam, constant.
        betas: of both.
        epsilon: of both; TensorFlow 1's default.
        per_class: images of every class in a batch.
        steps: training steps.
        image_size: height and width of its images, and so of its classifier's.
        source: where the numbers stand, and which of them do not.
    """

    options: dict[str, Any]
    steps: int
    image_size: tuple[int, int]
    source: str
    generator_learning_rate: float = 2e-5
    discriminator_learning_rate: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    per_class: int = 6


def _weights(classification: float, similarity: float, reconstruction: float, schedule: tuple[int, int]) -> dict:
    return {
        "classification_weight": classification,
        "similarity_weight": similarity,
        "reconstruction_weight": reconstruction,
        "schedule": schedule,
    }


PRESETS: dict[str, Preset] = {
    "mnist": Preset(
        options=_weights(100.0, 20.0, 10.0, (1, 1)),
        steps=100_000,
        image_size=(28, 28),
        source="weights: the run mnist_vx_cw100_sw20_rw10 that the evaluation script reads, at its step 50,000; steps: "
        "the paper; learning rates and batch: defaults of the training script, which no MNIST run is known to change",
    ),
    "apple2orange": Preset(
        options=_weights(1000.0, 100.0, 0.0, (1, 1)),
        steps=100_000,
        image_size=(256, 256),
        source="weights, learning rates and batch: defaults of the training script; steps: the paper",
    ),
    "apple2orange-cw100": Preset(
        options=_weights(100.0, 20.0, 10.0, (1, 2)),
        steps=100_000,
        image_size=(256, 256),
        source="weights: a run called cw100_sw20_rw10_gd05, whose gd05 is read as a G:D ratio of 0.5, one update of "
        "the generator to two of the discriminator; steps: the paper; learning rates and batch: defaults of the "
        "training script",
    ),
}
