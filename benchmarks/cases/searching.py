"""MDTS beside NumPy and FAISS."""

from __future__ import annotations

from benchmarks import floors
from benchmarks.case import Case, Contender, Task
from benchmarks.layers import Layer
from benchmarks.peers import searches

PUBLISHED_SECONDS = 850.0  # GANMEX, Table 4: MDTS for MNIST's 10,000 test images
PUBLISHED_TARGET = 20.0
FEATURES = 28 * 28
_CONTENDERS = (
    Contender("ours", searches.ours),
    Contender(
        "NumPy",
        searches.blocks,
        tuple({"queries": number} for number in (1000, 250, 4000)),
        within=1e-4,
        counts=False,
        note="rounded to float32, so of candidates nearly as near as each other it may take a wrong one",
    ),
    Contender("FAISS IndexFlatL2", searches.faiss, ({"threads": 2}, {"threads": 1}), within=1e-4),
)


def of_a_class(layers: list[Layer], task: Task) -> floors.Work:
    """A query beside a tenth of the candidates."""
    return floors.search(searches.CANDIDATES // 10, FEATURES)


def of_all(layers: list[Layer], task: Task) -> floors.Work:
    """A query beside all candidates."""
    return floors.search(searches.CANDIDATES, FEATURES)


CASES = (
    Case(
        key="mdts",
        title="MDTS, {count:,} images beside 60,000, those of the target class",
        task=Task("mnist", 10_000, steps=10),
        quick=Task("mnist", 500, steps=10),
        contenders=_CONTENDERS,
        target=1.0,
        work=of_a_class,
        agreement="distance",
        published=(PUBLISHED_SECONDS, PUBLISHED_TARGET),
    ),
    Case(
        key="mdts-all",
        title="MDTS, {count:,} images, each beside all 60,000",
        task=Task("mnist", 10_000, steps=1),
        quick=Task("mnist", 100, steps=1),
        contenders=_CONTENDERS,
        target=1.0,
        work=of_all,
        agreement="distance",
        published=(PUBLISHED_SECONDS, PUBLISHED_TARGET),
    ),
)
