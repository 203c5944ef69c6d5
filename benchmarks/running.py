"""Runs cases, and what came of each as plain data for JSON."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import agreement, floors, networks
from benchmarks.case import Case, Contender, Run, Task
from benchmarks.machine import Machine, load, measure
from benchmarks.peers import captum
from benchmarks.peers.searches import distance_agreement
from benchmarks.report import overall
from benchmarks.timing import Measured, Worker, in_turns, ratios, spread
from tf_ganmex.processes import cores

OUTPUTS_WITHIN = 1e-4


def run_case(case: Case, machine: Machine, *, folder: Path, data: Path | None, rounds: int, quick: bool) -> dict:
    """Times all contenders, compares what they found, and puts the floor beside it."""
    task = replace(case.quick if quick else case.task, folder=folder, data=data)
    in_process(_prepare, task)
    began = load()
    measured = in_turns(case.contenders, task, rounds=rounds, scan=not quick)
    first = case.contenders[0].name
    ours = measured[first]
    if ours.error:
        raise RuntimeError(f"{case.key}: ours failed with {ours.error}")
    done = {
        "key": case.key,
        "title": case.title.format(steps=task.steps, count=task.count),
        "unit": case.unit,
        "units": units(case, task),
        "task": {"network": task.network, "count": task.count, "steps": task.steps, "seed": task.seed},
        "data": "MNIST" if data else "scikit-learn's digits, 28 x 28",
        "quick": quick,
        "when": datetime.datetime.now().isoformat(timespec="seconds"),
        "load": [round(began, 2), round(load(), 2)],
        "target": case.target,
        "notes": list(case.notes),
        "contenders": [
            _contender(each, measured[each.name], ours, _agreement(case, each, task, measured[each.name], ours))
            for each in case.contenders
        ],
        "floor": _floor(case, task, machine),
        "published": _published(case, task, ours),
    }
    return done | {"ratio": overall(done)}


def units(case: Case, task: Task) -> int:
    """How many images or steps a call is."""
    return task.steps if case.unit == "step" else task.count


def measure_machine() -> Machine:
    """The rates of this machine, measured in a process that ends, so that its threads do not stay."""
    operations, bandwidth = in_process(_rates, Task("", 0))
    return Machine(cores(), float(operations), float(bandwidth))


def in_process(make: Callable[..., Run], task: Task) -> np.ndarray:
    """What one call finds, in a process of its own."""
    worker = Worker(Contender("once", make), task, {})
    worker.call(first=True)
    worker.close()
    if worker.measured.error or worker.measured.found is None:
        raise RuntimeError(worker.measured.error)
    return worker.measured.found


def torch_outputs(folder: Path, name: str) -> float:
    """The largest difference of the probabilities of the PyTorch network from the Keras model's."""
    task = Task(name, 16, folder=folder)
    in_process(_prepare, task)
    return float(np.abs(in_process(captum.outputs, task) - networks.outputs(task)[: task.count]).max())


def _rates(task: Task) -> Run:
    def run() -> np.ndarray:
        found = measure(cores())
        return np.array([found.operations, found.bandwidth])

    return run


def _prepare(task: Task) -> Run:
    def run() -> np.ndarray:
        networks.prepare(task.network, task.folder, task.data, task.seed)
        return np.zeros(1)

    return run


class _Finder:
    """A reference as something that a process can make; it is a class so that it can be pickled."""

    def __init__(self, find: Callable[[Task], np.ndarray]):
        self.find = find

    def __call__(self, task: Task) -> Run:
        return lambda: self.find(task)


def _agreement(case: Case, contender: Contender, task: Task, its: Measured, ours: Measured) -> float | None:
    if contender.within is None or its.found is None or ours.found is None or its is ours:
        return None
    reference = in_process(_Finder(contender.reference), task) if contender.reference else ours.found
    compare = distance_agreement(task) if case.agreement == "distance" else agreement.KINDS[case.agreement]
    return compare(its.found, reference)


def _contender(contender: Contender, its: Measured, ours: Measured, differs: float | None) -> dict[str, Any]:
    judged = differs is not None and contender.within is not None and contender.judged
    equal = bool(differs <= contender.within) if judged else None  # type: ignore[operator]
    return its.as_dict() | {
        "name": contender.name,
        "counts": contender.counts,
        "note": contender.note,
        "spread": asdict(spread(its.warm)) if its.warm else None,
        "ratio": asdict(ratios(ours.warm, its.warm)) if its.warm and its is not ours else None,
        "differs": differs,
        "within": contender.within,
        "equal": equal,
    }


def _floor(case: Case, task: Task, machine: Machine) -> dict[str, Any] | None:
    if case.work is None:
        return None
    work = case.work(networks.layers(task.folder, task.network), task)
    return asdict(work) | {
        "seconds": floors.seconds(work, machine),
        "by_operations": work.operations / machine.operations,
        "by_bytes": work.bytes / machine.bandwidth,
    }


def _published(case: Case, task: Task, ours: Measured) -> dict[str, Any] | None:
    if case.published is None or task.count != case.task.count:
        return None
    seconds, target = case.published
    ratio = seconds / spread(ours.warm).median
    return {"seconds": seconds, "target": target, "ratio": ratio, "met": ratio >= target}
