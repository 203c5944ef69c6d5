"""What an evaluation says while it runs, and how long things take."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Result = TypeVar("Result")
SECONDS, ROWS, WARM, PROCESSES = range(4)  # the places in a timing
_BETWEEN_LINES = 20  # seconds
_SPEED_OVER = 600  # seconds


class Clock:
    """Times calls. The first of a kind, on so many rows, is cold: it holds compilation.

    Args:
        warm_up: make a cold call twice, and time the second.
        processes: how many work at the same time.
    """

    def __init__(self, *, warm_up: bool, processes: int = 1):
        self.warm_up = warm_up
        self.processes = processes
        self._known: set[tuple[str, int]] = set()

    def __call__(self, kind: str, rows: int, call: Callable[[], Result]) -> tuple[Result, np.ndarray]:
        """What ``call`` returns, and its timing."""
        warm = (kind, rows) in self._known
        if self.warm_up and not warm:
            call()
            warm = True
        start = time.perf_counter()
        result = call()
        timing = np.array([time.perf_counter() - start, rows, warm, self.processes])
        self._known.add((kind, rows))
        return result, timing


class Reporter:
    """A progress bar on a terminal, a line now and then elsewhere; nothing unless ``shown``."""

    def __init__(self, total: int, *, shown: bool):
        self.total = total
        self.done = 0
        console = Console(stderr=True)
        self._lines = shown and not console.is_terminal
        self._start = self._said = time.monotonic()
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        self._bar = Progress(
            *columns,
            console=console,
            transient=True,
            disable=not shown or self._lines,
            speed_estimate_period=_SPEED_OVER,
        )
        self._task = self._bar.add_task("", total=total)

    def __enter__(self) -> Reporter:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, doing: str, rows: int) -> None:
        """Says what is being computed, or with ``""`` that so many rows of a cell are done."""
        if doing:
            self._bar.update(self._task, description=doing)
        self.done += rows
        self._bar.advance(self._task, rows)
        now = time.monotonic()
        if self._lines and rows and now - self._said > _BETWEEN_LINES:
            self._said = now
            left = (now - self._start) * (self.total - self.done) / self.done
            line = f"{self.done / self.total:4.0%} in {now - self._start:.0f} s, about {left:.0f} s to go"
            print(line, file=sys.stderr, flush=True)
