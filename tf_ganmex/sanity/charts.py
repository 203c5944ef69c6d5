"""Pictures of a sanity check."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from tf_ganmex import plotting
from tf_ganmex._panels import InlineFigure
from tf_ganmex.sanity.result import ORIGINAL, SanityCheck

_COLOURS = ("#7f7f7f", "#e69f00", "#0072b2", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#222222")
_DASHES = ("-", "--", ":", "-.")
_PANEL = (3.6, 3.0)  # inches
_LABEL_LENGTH = 12  # of stages, above which they are drawn at an angle


def plot_curves(check: SanityCheck, measures: Sequence[str], *, title: str | None = None) -> InlineFigure:
    """See :meth:`SanityCheck.plot_curves`."""
    figure = InlineFigure(
        figsize=(max(4.5, _PANEL[0] * len(measures)), _PANEL[1] + 0.6), layout="constrained", facecolor="white"
    )
    panels = figure.subplots(1, len(measures), squeeze=False, sharey=True)[0]
    baselines = list(dict.fromkeys(baseline for _, baseline in check.columns))
    methods = list(dict.fromkeys(method for method, _ in check.columns))
    stages = (ORIGINAL, *check.stages)
    for axes, measure in zip(panels, measures, strict=True):
        for method, baseline in check.columns:
            found = [check.interval(stage, method, baseline, measure) for stage in check.stages]
            colour = _COLOURS[baselines.index(baseline) % len(_COLOURS)]
            axes.plot(
                range(len(stages)),
                [1.0, *(each.mean for each in found)],
                color=colour,
                linestyle=_DASHES[methods.index(method) % len(_DASHES)],
                marker="o",
                markersize=3,
                linewidth=1.4,
                label=" × ".join(filter(None, (method, baseline))),
            )
            low, high = [1.0, *(each.low for each in found)], [1.0, *(each.high for each in found)]
            axes.fill_between(range(len(stages)), low, high, color=colour, alpha=0.15, linewidth=0)
        axes.axhline(0, color="#cccccc", linewidth=0.8, zorder=0)
        axes.set_title(measure.replace("_", ", "), fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
        angle: dict[str, Any] = {"rotation": 30, "ha": "right"} if len("".join(stages)) > 3 * _LABEL_LENGTH else {}
        axes.set_xticks(range(len(stages)), stages, **angle)
    panels[0].set_ylabel("similarity to the original maps")
    if title:
        figure.suptitle(title, fontsize=11, fontweight="bold")
    handles, labels = panels[0].get_legend_handles_labels()
    columns = max(1, 2 * len(measures))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, fontsize=8)
    return figure


def plot_maps(check: SanityCheck, index: int, *, title: str | None = None) -> Figure:
    """See :meth:`SanityCheck.plot_maps`."""
    stages = (ORIGINAL, *check.stages)
    rows: list[list[Any]] = []
    titles: list[str] = []
    for baseline in dict.fromkeys(baseline for _, baseline in check.columns):
        shown = [check.images.get((stage, baseline)) for stage in stages]
        images = [None if image is None else image[index] for image in shown]
        if any(image is not None and np.ptp(image) > 0 for image in images):  # a plain surface shows nothing
            rows.append([None, *images])
            titles.append(f"{baseline}: baseline")
        for method, other in check.columns:
            if other == baseline:
                rows.append([None, *(("map", check.maps[stage, method, baseline][index]) for stage in stages)])
                titles.append(" × ".join(filter(None, (method, baseline))))
    rows[0][0] = check.x[index]
    return plotting.plot_grid(rows, ["image", *stages], titles, value_range=check.value_range, title=title, cell=1.0)
