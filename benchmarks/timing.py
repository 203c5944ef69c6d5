"""Statistics of times, and contenders timed in turns, each in a process of its own."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import multiprocessing
import re
import time
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.case import Contender, Setup, Task

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of warm times, in seconds."""

    median: float
    low: float
    high: float
    rounds: int


def spread(seconds: Sequence[float]) -> Spread:
    """The spread of times."""
    low, median, high = np.percentile(seconds, [25, 50, 75])
    return Spread(float(median), float(low), float(high), len(seconds))


@dataclass
class Measured:
    """What one contender showed.

    Attributes:
        setup: the settings it ran with.
        cold: seconds of the first call, in a new process that had imported and loaded what it needs.
        warm: seconds of the other calls.
        memory: bytes of the peak over what the process held before the first call; None where it is not known.
        found: what the first call returned.
        error: why it could not run.
    """

    setup: dict[str, Any] = field(default_factory=dict)
    cold: float | None = None
    warm: list[float] = field(default_factory=list)
    memory: int | None = None
    found: np.ndarray | None = None
    error: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON, without what was found."""
        kept = {"setup": self.setup, "cold": self.cold, "warm": self.warm, "memory": self.memory, "error": self.error}
        return kept | ({"spread": asdict(spread(self.warm))} if self.warm else {})


def ratios(ours: Sequence[float], other: Sequence[float]) -> Spread:
    """How many times as fast ours was in each round, in which both ran one after the other."""
    return spread([b / a for a, b in zip(ours, other, strict=False)])


def in_turns(contenders: Sequence[Contender], task: Task, *, rounds: int, scan: bool) -> dict[str, Measured]:
    """Times every contender ``rounds`` times after a first call, in turns: A, B, C, A, B, C, ..."""
    workers = {contender.name: Worker(contender, task, choose(contender, task, scan=scan)) for contender in contenders}
    measured = {name: worker.measured for name, worker in workers.items()}
    try:
        for number in range(rounds + 1):
            for worker in workers.values():
                worker.call(first=number == 0)
    finally:
        for worker in workers.values():
            worker.close()
    return measured


def choose(contender: Contender, task: Task, *, scan: bool) -> Setup:
    """The fastest settings on a smaller task, each called three times, one after the other in one process."""
    if len(contender.setups) == 1 or not scan:
        return contender.setups[0]
    worker = Worker(contender, task.scan(), contender.setups[0])
    seconds = []
    for setup in contender.setups:
        worker.make(setup)
        for number in range(3):
            worker.call(first=number == 0)
        seconds.append(min(worker.measured.warm, default=float("inf")))
    worker.close()
    return contender.setups[int(np.argmin(seconds))]


class Worker:
    """A process with one contender in it, that waits while others are called."""

    def __init__(self, contender: Contender, task: Task, setup: Setup):
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        arguments = (theirs, contender.make, task)
        self._process = context.Process(target=_serve, args=arguments, daemon=True)
        self._process.start()
        theirs.close()
        self.make(setup)

    def make(self, setup: Setup) -> None:
        """Loads what the contender needs, with other settings."""
        self.measured = Measured(setup=dict(setup))
        self._connection.send(dict(setup))
        self._take(self._receive())

    def call(self, *, first: bool) -> None:
        """Calls the contender once, unless it has failed."""
        if self.measured.error:
            return
        self._connection.send("first" if first else "again")
        reply = self._receive()
        if self._take(reply):
            if first:
                self.measured.cold, self.measured.found = reply["seconds"], reply["found"]
            else:
                self.measured.warm.append(reply["seconds"])
            self.measured.memory = reply["memory"]

    def close(self) -> None:
        """Ends the process."""
        with contextlib.suppress(OSError):
            self._connection.send("end")
        self._process.join(10)
        if self._process.is_alive():
            self._process.kill()

    def _receive(self) -> dict[str, Any]:
        try:
            return self._connection.recv()
        except EOFError:
            self._process.join()
            return {"error": f"its process ended with exit code {self._process.exitcode}"}

    def _take(self, reply: dict[str, Any]) -> bool:
        self.measured.error = reply.get("error", "")
        return not self.measured.error


def _serve(connection: Connection, make: Any, task: Task) -> None:
    warnings.simplefilter("ignore")  # of peers, about what nobody here can change
    run: Any = None
    start: int | None = None
    while (command := connection.recv()) != "end":
        try:
            if isinstance(command, dict):
                run, start = make(task, **command), None
                connection.send({})
                continue
            start = start if start is not None else _start_of_memory()
            began = time.perf_counter()
            found = run()
            seconds = time.perf_counter() - began
            peak = memory("VmHWM")
            used = None if peak is None or start is None else max(0, peak - start)
            reply: dict[str, Any] = {"seconds": seconds, "memory": used}
            connection.send(reply | ({"found": np.asarray(found)} if command == "first" else {}))
        except Exception as error:  # a peer that cannot run is told in the table
            connection.send({"error": _described(error)})


def _described(error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]} ({Path(last.filename).name}, line {last.lineno})"


def _start_of_memory() -> int | None:
    # What loading freed goes back to the system, or a call would use it again unseen; then the peak is forgotten.
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    with contextlib.suppress(OSError):
        _RESET.write_text("5")
    return memory("VmRSS")


def memory(name: str) -> int | None:
    """Bytes of this process by the name that Linux has for it, VmRSS now or VmHWM at most; None elsewhere."""
    if not _STATUS.exists():
        return None
    match = re.search(rf"^{name}:\s+(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    return int(match[1]) * 1024 if match else None
