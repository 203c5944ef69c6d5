"""What an evaluation says while it runs, and how long things take."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

import numpy as np
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

Result = TypeVar("Result")
SECONDS, ROWS, WARM, PROCESSES = range(4)  # the places in a timing
_BETWEEN_LINES = 20  # seconds
_SPEED_OVER = 600  # seconds
_ESTIMATED_FROM = 0.02  # of all that is to be done
_BAR, _NUMBERS = 20, 44  # characters, of the bar, and of the count and times with the gaps between them


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
            TextColumn("{task.description}", table_column=_narrow(console.width - _BAR - _NUMBERS)),
            BarColumn(_BAR),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            _Remaining(),
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
            line = f"{self.done / self.total:4.0%} in {now - self._start:.0f} s"
            if self.done >= _ESTIMATED_FROM * self.total:
                line += f", about {(now - self._start) * (self.total - self.done) / self.done:.0f} s to go"
            print(line, file=sys.stderr, flush=True)


class _Remaining(TimeRemainingColumn):
    """No guess from what little is done first, compilation above all."""

    def render(self, task: Task) -> Text:
        """The time, or dashes."""
        known = task.percentage >= 100 * _ESTIMATED_FROM
        return super().render(task) if known else Text("-:--:--", style="progress.remaining")


def _narrow(width: int) -> Column:
    """A column that a long text does not widen, for the others would be squeezed."""
    return Column(max_width=max(width, 10), no_wrap=True, overflow="ellipsis")
