"""A training step beside TF-GAN's estimator."""

from __future__ import annotations

from benchmarks import floors
from benchmarks.case import Case, Contender, Task
from benchmarks.layers import Layer
from benchmarks.peers import training


def step(layers: list[Layer], task: Task) -> floors.Work:
    """What a step needs."""
    from benchmarks.running import in_process

    generator, discriminator = (floors.Work(*each) for each in in_process(training.sizes, task))
    return floors.training_step(generator, discriminator, floors.forward(layers), training.BATCH)


CASES = (
    Case(
        key="training",
        title=f"A training step of GANMEX, batch {training.BATCH}, a generator of 32 filters and 3 blocks",
        task=Task("mnist", 1, steps=5),
        quick=Task("mnist", 1, steps=1),
        contenders=(
            Contender(
                "ours", training.keras, within=None, note="one batch, and one pass of it through each network, for both"
            ),
            Contender(
                "TF-GAN StarGANEstimator", training.tfgan, within=None, note="a batch of its own for each update"
            ),
            Contender(
                "ours, updates in turn",
                training.keras,
                ({"schedule": (1, 1)},),
                within=None,
                counts=False,
                note="the very updates of TF-GAN, to rounding (tests/gan/test_estimator_parity.py)",
            ),
            Contender(
                "ours, bfloat16",
                training.keras,
                ({"dtype": "mixed_bfloat16"},),
                within=None,
                counts=False,
                note="other arithmetic",
            ),
        ),
        unit="step",
        target=1.5,
        work=step,
        notes=("What is learned is compared by tests and in docs/results/trainers.",),
    ),
)
