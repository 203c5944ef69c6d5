"""What is to be measured, with what, and where it is kept."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

import tf_ganmex
from tf_ganmex import metrics
from tf_ganmex.evaluation.cells import Arrays, Cells
from tf_ganmex.evaluation.columns import Column
from tf_ganmex.evaluation.measures import Block, Chosen, Effects, Setting
from tf_ganmex.evaluation.questions import Questions
from tf_ganmex.evaluation.regions import Regions
from tf_ganmex.evaluation.sources import Source, TrainingImages, digest
from tf_ganmex.evaluation.timing import Clock
from tf_ganmex.metrics.fid import Features

CHECK, FEATURES = "check", "features"
_FORMAT = 1
_EFFECTS = 1024  # rows


@dataclass(kw_only=True)
class Plan:
    """Questions × columns and questions × baselines.

    Attributes:
        questions: the rows.
        block_size: how many rows are worked on at a time; None chooses.
        columns: methods with their baselines; none where no metric of maps is asked for.
        sources: the baselines that are measured themselves; none where no metric of baselines is asked for.
        training: the training images.
        chosen: the metrics.
        setting: what the metrics are computed with.
        regions: where inverse localization looks; None where it is not asked for.
        features: of images, in which the Fréchet distance is taken; None where it is not asked for.
        folder: where what is computed is kept; None keeps nothing.
        keep_maps: whether maps are kept there too.
        drawn: of how many rows, the first ones, monotonicity is measured.
        clock: times the maps and baselines.
    """

    questions: Questions
    block_size: int | None
    columns: list[Column]
    sources: list[Source]
    training: TrainingImages
    chosen: Chosen
    setting: Setting
    regions: Regions | None
    features: Features | None
    folder: Path | None
    keep_maps: bool
    drawn: int
    clock: Clock

    @cached_property
    def cells(self) -> Cells:
        """Where finished cells are."""
        return Cells(self.folder and self.folder / "cells")

    @cached_property
    def kept_maps(self) -> Cells:
        """Where maps are kept."""
        return Cells(self.folder / "maps" if self.folder and self.keep_maps else None)

    @cached_property
    def slices(self) -> list[slice]:
        """The rows of each block."""
        return list(self.questions.blocks(self.block_size))

    def block(self, index: int) -> Block:
        """A block with what its metrics need."""
        rows = self.slices[index]
        part = self.questions[rows]
        masks, known = self.regions[part] if self.regions else (None, None)
        drawn = min(max(self.drawn - rows.start, 0), len(part))
        return Block(part, self.setting, self._effects(rows.start), masks=masks, known=known, drawn=drawn)

    def _effects(self, start: int) -> Effects:
        """Kept by the thousand: all that are kept together are read together."""
        if self.folder is None:
            return metrics
        return metrics.StoredEffects(self.folder / "effects" / f"{start // _EFFECTS:03d}", progress=False)

    def identity(self, block: Block) -> str:
        """What all cells of a block depend on."""
        return digest(self._classifier, block.x, block.part.origin, block.part.target)

    def read(self, block: Block, label: str, key: str) -> Arrays:
        """The arrays of a cell; none of a classifier with the same weights that computes something else with them."""
        found = self.cells.read(label, key)
        same = CHECK in found and np.allclose(found[CHECK], block.check, rtol=1e-3, atol=1e-3)
        return found if same else {CHECK: block.check}

    @cached_property
    def features_name(self) -> str:
        """Features are told from others by what they are of one image."""
        return FEATURES if self.features is None else f"{FEATURES}-{digest(self.features_of(self.questions[:1].x))}"

    def features_of(self, images: np.ndarray) -> np.ndarray:
        """Features (n, d) of images; none where they are not asked for."""
        return np.empty((len(images), 0)) if self.features is None else np.asarray(self.features(images))

    @cached_property
    def _classifier(self) -> str:
        clf = self.setting.clf
        return digest(_FORMAT, tf_ganmex.__version__, clf.fingerprint, clf.head, clf.value_range)
