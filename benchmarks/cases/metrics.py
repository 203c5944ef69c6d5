"""AOPC beside a plain loop."""

from __future__ import annotations

from benchmarks import floors
from benchmarks.case import Case, Contender, Task
from benchmarks.peers import flips

EVALUATIONS = tuple({"evaluations": number} for number in (256, 128, 64, 785))


def aopc(network: str, title: str, count: int) -> Case:
    """All features flipped."""
    return Case(
        key=f"aopc-{network}",
        title=f"AOPC over all features, {title}",
        task=Task(network, count),
        quick=Task(network, 1),
        contenders=(
            Contender("ours", flips.ours),
            Contender("loop, clf.probabilities", flips.loop, EVALUATIONS),
            Contender("loop, Keras model", flips.loop_keras, EVALUATIONS),
        ),
        target=3.0,
        work=floors.every_feature,
        notes=("Random maps: a flip, x to 1 − x, changes black pixels too, so that ours takes as long for any map.",),
    )


CASES = (aopc("mnist", "the MNIST net", 8), aopc("cifar10", "the CIFAR-10 net", 1))
