"""MDTS beside NumPy and FAISS."""

from __future__ import annotations

from collections.abc import Callable

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


def mdts(key: str, title: str, classes: int, quick: int, work: Callable[[list[Layer], Task], floors.Work]) -> Case:
    """A search among the candidates of ``classes`` classes, each query in its own."""
    return Case(
        key=key,
        title=title,
        task=Task("mnist", 10_000, steps=classes),
        quick=Task("mnist", quick, steps=classes),
        contenders=_CONTENDERS,
        target=1.0,
        work=work,
        agreement="distance",
        published=(PUBLISHED_SECONDS, PUBLISHED_TARGET),
    )


CASES = (
    mdts("mdts", "MDTS, {count:,} images beside 60,000, those of the target class", 10, 500, of_a_class),
    mdts("mdts-all", "MDTS, {count:,} images, each beside all 60,000", 1, 100, of_all),
)
