"""The metrics of an evaluation by name, and what each asks of a block of images, of its maps and of its baselines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from tf_ganmex import metrics
from tf_ganmex.classifier import Classifier
from tf_ganmex.errors import OptionError
from tf_ganmex.evaluation.questions import Questions

RUN_TIME = "run_time"
AOPC_ALL = "aopc_all"
FID = "fid"
OF_MAPS = ("gini", "gini_shifted", "faithfulness", "monotonicity", "inverse_localization")
OF_BASELINES = ("distance", "edge_distance", "assigned")
NAMES = ("aopc_L (such as aopc_100)", AOPC_ALL, *OF_MAPS, *OF_BASELINES, FID, RUN_TIME)
CURVE, SECONDS, FEATURES = "curve", "seconds", "features"


class Effects(Protocol):
    """Where the effects of single flips and of random draws come from."""

    def flip_drops(self, clf: Classifier, x: Any, origin: Any, target: Any, score: str) -> np.ndarray:
        """As ``gx.metrics.flip_drops``."""

    def draw_effects(
        self, clf: Classifier, x: Any, origin: Any, target: Any, draws: int, seed: int, score: str
    ) -> np.ndarray:
        """As ``gx.metrics.draw_effects``."""


@dataclass(frozen=True)
class Chosen:
    """The metrics asked for, by what they are measured on.

    Attributes:
        areas: L of each AOPC_L by its name; None for all flips.
        of_maps: the other metrics of a map.
        of_baselines: metrics of a baseline, one value an image.
        fid: whether the Fréchet distance of baselines is asked for.
        run_time: whether the run time is.
    """

    areas: dict[str, int | None]
    of_maps: tuple[str, ...]
    of_baselines: tuple[str, ...]
    fid: bool
    run_time: bool

    @property
    def measures_maps(self) -> bool:
        """Whether any map has to be made."""
        return bool(self.areas or self.of_maps or self.run_time)

    @property
    def measures_baselines(self) -> bool:
        """Whether any baseline is measured for itself."""
        return bool(self.of_baselines or self.fid or self.run_time)

    def flips(self, features: int) -> int:
        """How many flips the curves need, 0 for none; OptionError where an image has fewer features."""
        longest = max((features if steps is None else steps for steps in self.areas.values()), default=0)
        if longest > features:
            raise OptionError(
                f"Expected aopc_L with L of at most {features}, the features of an image. Received: aopc_{longest}. "
                f"Take {AOPC_ALL}, or a smaller L."
            )
        return longest


def choose(names: Sequence[str]) -> Chosen:
    """The metrics called ``names``; OptionError for an unknown one."""
    areas = {name: _area(name) for name in names if name.startswith("aopc_")}
    rest = set(names) - areas.keys()
    unknown = rest - {*OF_MAPS, *OF_BASELINES, FID, RUN_TIME}
    if unknown or not names:
        raise _unknown(", ".join(sorted(unknown)) or "none")
    of_maps, of_baselines = (tuple(name for name in known if name in rest) for known in (OF_MAPS, OF_BASELINES))
    return Chosen(areas, of_maps, of_baselines, fid=FID in rest, run_time=RUN_TIME in rest)


def _area(name: str) -> int | None:
    if name == AOPC_ALL:
        return None
    match = re.fullmatch(r"aopc_([1-9]\d*)", name)
    if match is None:
        raise _unknown(name)
    return int(match[1])


def _unknown(received: str) -> OptionError:
    return OptionError(f"Expected metrics among {', '.join(NAMES)}. Received: {received}. Check the spelling.")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What the metrics are computed with."""

    clf: Classifier
    score: str
    seed: int
    draws: int
    edge_width: int
    flips: int


class Block:
    """Some rows of the questions, and what all columns share: it is computed once.

    Args:
        part: the rows.
        setting: what the metrics are computed with.
        effects: where the effects of flips and draws come from.
        masks: their relevant regions (n, h, w), where they are needed.
        known: which rows have one.
        drawn: how many rows, the first ones, are measured for monotonicity.
    """

    def __init__(
        self,
        part: Questions,
        setting: Setting,
        effects: Effects,
        *,
        masks: np.ndarray | None,
        known: np.ndarray | None,
        drawn: int,
    ):
        self.part = part
        self.effects = effects
        self.masks = masks
        self.known = known
        self.drawn = drawn
        self.setting = setting

    @cached_property
    def x(self) -> np.ndarray:
        """Its images."""
        return self.part.x

    @cached_property
    def check(self) -> np.ndarray:
        """Logit deltas: what tells classifiers apart that have the same weights."""
        return self.setting.clf.score_delta(self.x, self.part.origin, self.part.target, "logit")

    @cached_property
    def drops(self) -> np.ndarray:
        """What flipping each feature does."""
        s = self.setting
        return self.effects.flip_drops(s.clf, self.x, self.part.origin, self.part.target, s.score)

    @cached_property
    def drawn_effects(self) -> np.ndarray:
        """What random values for each feature do, for the rows that are drawn for."""
        s, first = self.setting, self.part[: self.drawn]
        return self.effects.draw_effects(s.clf, first.x, first.origin, first.target, s.draws, s.seed, s.score)


def of_map(name: str, block: Block, maps: np.ndarray) -> np.ndarray:
    """One metric of maps (n, h, w, c) that is none of the curve: (n,), or fewer where only some rows are drawn for."""
    s, part = block.setting, block.part
    if name == "gini":
        return metrics.gini(maps)
    if name == "gini_shifted":
        return metrics.gini_shifted(maps)
    if name == "inverse_localization":
        return _inverse_localization(block, maps)
    if name == "faithfulness":
        return metrics.faithfulness(s.clf, block.x, maps, part.origin, part.target, s.score, drops=block.drops)
    n = block.drawn
    return metrics.monotonicity(
        s.clf, block.x[:n], maps[:n], part.origin[:n], part.target[:n], score=s.score, effects=block.drawn_effects
    )


def _inverse_localization(block: Block, maps: np.ndarray) -> np.ndarray:
    """NaN where no region is relevant, or every one."""
    found = np.full(len(maps), np.nan)
    if block.masks is not None and block.known is not None and block.known.any():
        found[block.known] = metrics.inverse_localization(maps[block.known], block.masks[block.known])
    return found


def of_baseline(name: str, block: Block, images: np.ndarray) -> np.ndarray:
    """One metric of baselines (n, h, w, c), (n,)."""
    if name == "assigned":
        return metrics.assigned_to(block.setting.clf, images, block.part.target).astype(np.float64)
    mask = metrics.edge_strips(block.x.shape[1:], block.setting.edge_width) if name == "edge_distance" else None
    return metrics.baseline_distance(block.x, images, mask)


def curve_of(block: Block, maps: np.ndarray, areas: dict[str, int | None]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The areas over the perturbation curves of maps, and over images the sums of curves and of their squares."""
    s, part = block.setting, block.part
    curve = metrics.perturbation_curve(s.clf, block.x, maps, part.origin, part.target, s.score, flips=s.flips)
    found = {name: metrics.aopc(curve, steps) for name, steps in areas.items()}
    of_images = part.per_image(curve)
    return found, np.stack([of_images.sum(0), (of_images**2).sum(0)])
