"""Sanity checks on disk, so that a page or a picture can be made again without the maps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import process_time

import numpy as np

from tf_ganmex.evaluation.cells import Arrays, Cells
from tf_ganmex.sanity import SanityCheck

_BETWEEN = "|"  # the parts of a key
_STAGES, _COLUMNS, _X, _RANGE, _SECONDS = "stages", "columns", "x", "value_range", "seconds"


@dataclass(frozen=True)
class KeptCheck:
    """A sanity check, and the processor seconds that it took."""

    check: SanityCheck
    seconds: float


def kept_check(folder: Path, label: str, key: str, make: Callable[[], tuple[SanityCheck, float]]) -> KeptCheck:
    """Reads a check, or makes and writes it.

    Args:
        folder: where checks are.
        label: what it is.
        key: changes with everything that it depends on.
        make: gives the check, and the seconds of its time that are counted elsewhere.
    """
    cells = Cells(folder)
    found = cells.read(label, key)
    if not found:
        start = process_time()
        check, elsewhere = make()
        found = to_arrays(check) | {_SECONDS: np.array(process_time() - start - elsewhere)}
        cells.write(label, key, found)
    return KeptCheck(from_arrays(found), float(found[_SECONDS]))


def to_arrays(check: SanityCheck) -> Arrays:
    """All of a check as arrays by name."""
    arrays: Arrays = {
        _STAGES: np.array(check.stages),
        _COLUMNS: np.array(check.columns),
        _X: check.x,
        _RANGE: np.array(check.value_range),
    }
    for kind in ("similarities", "of_baselines"):
        for place, measured in getattr(check, kind).items():
            arrays |= {_BETWEEN.join((kind, *place, name)): values for name, values in measured.items()}
    for kind in ("maps", "images"):
        arrays |= {_BETWEEN.join((kind, *place)): values for place, values in getattr(check, kind).items()}
    return arrays


def from_arrays(arrays: Arrays) -> SanityCheck:
    """The check that :func:`to_arrays` was given."""
    similarities: dict[tuple[str, str, str], Arrays] = {}
    of_baselines: dict[tuple[str, str], Arrays] = {}
    maps: dict[tuple[str, str, str], np.ndarray] = {}
    images: dict[tuple[str, str], np.ndarray] = {}
    for name, values in arrays.items():
        match name.split(_BETWEEN):
            case "similarities", stage, method, baseline, measure:
                similarities.setdefault((stage, method, baseline), {})[measure] = values
            case "of_baselines", stage, baseline, measure:
                of_baselines.setdefault((stage, baseline), {})[measure] = values
            case "maps", stage, method, baseline:
                maps[stage, method, baseline] = values
            case "images", stage, baseline:
                images[stage, baseline] = values
    low, high = arrays[_RANGE].tolist()
    return SanityCheck(
        stages=tuple(arrays[_STAGES].tolist()),
        columns=tuple((method, baseline) for method, baseline in arrays[_COLUMNS].tolist()),
        similarities=similarities,
        of_baselines=of_baselines,
        x=arrays[_X],
        maps=maps,
        images=images,
        value_range=(low, high),
    )
