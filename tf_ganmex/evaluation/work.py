"""The cells of one block: what of each is missing, and how it is computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from tf_ganmex.evaluation.cells import Arrays
from tf_ganmex.evaluation.columns import Column
from tf_ganmex.evaluation.measures import Block, curve_of, of_baseline, of_map
from tf_ganmex.evaluation.plan import FEATURES, Plan
from tf_ganmex.evaluation.sources import Source, digest
from tf_ganmex.evaluation.timing import WARM

CURVE, TIMING = "curve", "timing"
_NONE = np.empty(0)

Doing = Callable[[str], None]


class Work(Protocol):
    """One cell: the numbers of one column, or one baseline, for one block."""

    name: str
    place: tuple[str, ...]

    @property
    def finished(self) -> bool:
        """Whether all its arrays are on disk."""

    def complete(self, doing: Doing) -> Arrays:
        """Its arrays by the names of the metrics; those that are not on disk are computed and written."""


def works_of(plan: Plan, block: Block) -> list[Work]:
    """All cells of a block, in the order in which they are best computed."""
    made = Made(block, plan)
    of_sources: list[Work] = [BaselineWork(plan, block, source, made) for source in plan.sources]
    of_columns: list[Work] = [MapWork(plan, block, column, made) for column in plan.columns]
    real: list[Work] = [RealWork(plan, block)] if plan.chosen.fid else []
    return real + of_sources + of_columns


class Made:
    """The baselines of a block, made when they are first asked for."""

    def __init__(self, block: Block, plan: Plan):
        self.block = block
        self.clock = plan.clock
        self.timings: Arrays = {}
        self._made: Arrays = {}

    def images(self, source: Source) -> np.ndarray:
        """Baselines (n, h, w, c)."""
        if source.name not in self._made:
            x, target = self.block.x, self.block.part.target
            made, timing = self.clock(f"baseline {source.name}", len(x), lambda: source.images(x, target))
            self._made[source.name], self.timings[source.name] = made, timing
        return self._made[source.name]

    def fingerprint(self, source: Source) -> str:
        """What tells them from others."""
        return source.fingerprint or digest(self.images(source))


class RealWork:
    """Features of one training image of the target for each row."""

    name = "training images"
    place: tuple[str, ...] = ()

    def __init__(self, plan: Plan, block: Block):
        self.plan = plan
        self.block = block
        self.key = digest(plan.identity(block), plan.training.fingerprint, plan.training.seed, plan.features_name)
        self.found = plan.read(block, "real", self.key)

    @property
    def finished(self) -> bool:
        """Whether they are on disk."""
        return FEATURES in self.found

    def complete(self, doing: Doing) -> Arrays:
        """The features."""
        if not self.finished:
            doing("features")
            images = self.plan.training.others(self.block.x, self.block.part.target)
            self.found[FEATURES] = self.plan.features_of(images)
            self.plan.cells.write("real", self.key, self.found)
        return {FEATURES: self.found[FEATURES]}


class BaselineWork:
    """The metrics of one baseline."""

    def __init__(self, plan: Plan, block: Block, source: Source, made: Made):
        self.name = f"baseline {source.name}"
        self.place: tuple[str, ...] = ("", source.name)
        self.plan = plan
        self.block = block
        self.source = source
        self.made = made
        self.key = digest(plan.identity(block), made.fingerprint(source))
        self.found = plan.read(block, source.name, self.key)
        self.stored = {name: name for name in plan.chosen.of_baselines}
        if "edge_distance" in self.stored:
            self.stored["edge_distance"] = f"edge_distance-{plan.setting.edge_width}"
        if plan.chosen.fid:
            self.stored[FEATURES] = plan.features_name
        self.missing = [name for name, place in self.stored.items() if place not in self.found]
        self.needs_timing = plan.chosen.run_time and not _is_warm(self.found)

    @property
    def finished(self) -> bool:
        """Whether all metrics asked for are on disk."""
        return not self.missing and not self.needs_timing

    def complete(self, doing: Doing) -> Arrays:
        """The metrics, features and time."""
        if not self.finished:
            images = self.made.images(self.source)
            for name in self.missing:
                doing(name)
                features = name == FEATURES
                array = self.plan.features_of(images) if features else of_baseline(name, self.block, images)
                self.found[self.stored[name]] = array
            if not _is_warm(self.found):
                self.found[TIMING] = self.made.timings[self.source.name]
            self.plan.cells.write(self.source.name, self.key, self.found)
        return {name: self.found[place] for name, place in self.stored.items()} | _timing(self.found)


class MapWork:
    """The metrics of the maps of one column."""

    def __init__(self, plan: Plan, block: Block, column: Column, made: Made):
        self.name = f"{column.method} × {column.baseline}"
        self.place: tuple[str, ...] = (column.method, column.baseline)
        self.label = f"{column.method}-{column.baseline}"
        self.plan = plan
        self.block = block
        self.column = column
        self.made = made
        against = made.fingerprint(column.source) if column.source else None
        self.key = digest(plan.identity(block), column.fingerprint(against, plan.training))
        self.found = plan.read(block, self.label, self.key)
        self.stored = {name: self._stored_name(name) for name in plan.chosen.of_maps}
        self.missing = [
            name for name, place in self.stored.items() if len(self.found.get(place, _NONE)) < self._rows(name)
        ]
        self.needs_curve = bool(plan.chosen.areas) and not self._has_curve()
        self.needs_timing = plan.chosen.run_time and not _is_warm(self.found)

    @property
    def finished(self) -> bool:
        """Whether all metrics asked for are on disk."""
        return not (self.missing or self.needs_curve or self.needs_timing)

    def complete(self, doing: Doing) -> Arrays:
        """The metrics, the sums of the curves, and the time."""
        if not self.finished:
            maps = self._maps()
            if self.needs_curve:
                doing("perturbation curve")
                self._measure_curve(maps)
            for name in self.missing:
                doing(name)
                self.found[self.stored[name]] = of_map(name, self.block, maps)
            self.plan.cells.write(self.label, self.key, self.found)
        arrays = {name: self.found.get(place, _NONE)[: self._rows(name)] for name, place in self.stored.items()}
        arrays |= {name: self.found[name] for name in self.plan.chosen.areas}
        if self.plan.chosen.areas:
            arrays[CURVE] = self.found[CURVE][:, : self.plan.setting.flips + 1]
        return arrays | _timing(self.found)

    def _maps(self) -> np.ndarray:
        """The maps, as they were kept or made anew; notes how long that took."""
        kept = self.plan.kept_maps.read(self.label, self.key)
        if kept and not self.needs_timing:
            return kept["maps"]
        plan, column, part = self.plan, self.column, self.block.part
        images = self.made.images(column.source) if column.source else None
        maps, timing = plan.clock(
            self.label, len(part), lambda: column.maps(plan.setting.clf, part, images, plan.training)
        )
        if not _is_warm(self.found):
            self.found[TIMING] = timing
        plan.kept_maps.write(self.label, self.key, {"maps": maps})
        return maps

    def _measure_curve(self, maps: np.ndarray) -> None:
        areas, sums = curve_of(self.block, maps, self.plan.chosen.areas)
        self.found |= areas
        if CURVE not in self.found or self.found[CURVE].shape[1] < sums.shape[1]:  # one with more flips serves both
            self.found[CURVE] = sums

    def _has_curve(self) -> bool:
        long_enough = CURVE in self.found and self.found[CURVE].shape[1] > self.plan.setting.flips
        return long_enough and self.plan.chosen.areas.keys() <= self.found.keys()

    def _rows(self, name: str) -> int:
        return self.block.drawn if name == "monotonicity" else len(self.block.part)

    def _stored_name(self, name: str) -> str:
        setting = self.plan.setting
        if name == "monotonicity":
            return f"{name}-{setting.draws}-{setting.seed}"
        if name == "inverse_localization":
            return f"{name}-{digest(self.block.masks)}"
        return name


def _is_warm(found: Arrays) -> bool:
    return TIMING in found and bool(found[TIMING][WARM])


def _timing(found: Arrays) -> Arrays:
    return {TIMING: found[TIMING]} if TIMING in found else {}
