"""What is measured: a case is one computation, and a contender one way of doing it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

Run = Callable[[], np.ndarray]
Setup = Mapping[str, Any]


@dataclass(frozen=True)
class Task:
    """The computation that all contenders of a case are given.

    Attributes:
        network: name of the network, see networks.py.
        count: images.
        steps: gradients of a path, or what else a case repeats.
        folder: where the prepared networks are.
        data: the MNIST file, or None for scikit-learn's digits.
        seed: of everything random.
    """

    network: str
    count: int
    steps: int = 200
    folder: Path = Path()
    data: Path | None = None
    seed: int = 0

    def scan(self) -> Task:
        """A smaller task of the same kind, to choose settings by."""
        return replace(self, count=max(1, self.count // 4))


@dataclass(frozen=True)
class Contender:
    """One way of doing it.

    Attributes:
        name: what the table calls it.
        make: a function of a module, (task, **setup) -> a function that does it once and returns what it found.
        setups: what its speed depends on; the first is taken where there is no scan.
        reference: (task) -> what it should find, by ours; None: what ours found.
        within: the largest difference allowed, as a share of the largest value of the reference; None: not compared.
        judged: whether a larger one is wrong; the difference of random draws is only told.
        counts: whether it is one of those that ours has to be faster than.
        note: what differs.
    """

    name: str
    make: Callable[..., Run]
    setups: tuple[Setup, ...] = ({},)
    reference: Callable[[Task], np.ndarray] | None = None
    within: float | None = 1e-3
    judged: bool = True
    counts: bool = True
    note: str = ""


@dataclass(frozen=True)
class Case:
    """A computation with its contenders, ours first.

    Attributes:
        key: what ``--only`` calls it.
        title: what the table calls it; {steps} and {count} are those of the task.
        task: at full size.
        quick: at the size for a quick look.
        contenders: ours first; more of ours may follow, with ``counts=False``.
        unit: what the times are per, "image" for one.
        target: how many times as fast as the fastest of the contenders that count ours should be.
        work: (layers, shape, task) -> what one unit needs at least, see floors.py.
        agreement: how results are compared, see agreement.py.
        published: a published time of the whole task in seconds, and how many times as fast ours should be.
    """

    key: str
    title: str
    task: Task
    quick: Task
    contenders: tuple[Contender, ...]
    unit: str = "image"
    target: float | None = None
    work: Callable[..., Any] | None = None
    agreement: str = "difference"
    published: tuple[float, float] | None = None
    notes: tuple[str, ...] = field(default_factory=tuple)
