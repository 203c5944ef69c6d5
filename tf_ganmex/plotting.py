"""Pictures of explanations as in the GANMEX paper: blue is positive, red is negative, white is zero.

Every function takes plain arrays. The figures belong to no window and no global state, so they can be made without
a screen and in threads; a notebook shows them, `save_figure` writes them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tf_ganmex._colours import attribution_image, attribution_limit, image_rgb
from tf_ganmex._panels import Legend, draw_panels, draw_picture
from tf_ganmex.errors import ImageError, LabelError, OptionError
from tf_ganmex.files import replaced

__all__ = [
    "attribution_image",
    "attribution_limit",
    "image_rgb",
    "plot_explanation",
    "plot_grid",
    "plot_targets",
    "save_figure",
    "show_image",
]


def show_image(axes: Axes, image: np.ndarray, *, value_range: tuple[float, float] = (0.0, 1.0)) -> None:
    """Draw an image into axes of your own, without ticks, in the colours of `image_rgb`.

    Args:
        axes: where to draw.
        image: (h, w) or (h, w, c).
        value_range: the values of black and white.

    Raises:
        OptionError: the value range is empty.
        ImageError: the image is not finite or has another number of axes.
    """
    draw_picture(axes, image_rgb(image, value_range=value_range))


def plot_grid(
    rows: Sequence[Sequence[Any]],
    column_titles: Sequence[str] = (),
    row_titles: Sequence[str] = (),
    *,
    value_range: tuple[float, float] = (0.0, 1.0),
    title: str | None = None,
    share_limit: bool = False,
    percentile: float = 99.5,
    legend: tuple[str, str] | None = ("negative", "positive"),
    cell: float = 1.2,
) -> Figure:
    """Plot a table of images and attribution maps, for instance methods by baselines.

    Args:
        rows: the cells: an image (h, w) or (h, w, c), `("map", attribution)`, or None for an empty place.
        column_titles: one a column, or none at all.
        row_titles: one a row, or none at all.
        value_range: the values of black and white in images.
        title: a line above the table.
        share_limit: one limit for all the maps of a row instead of one for each.
        percentile: the percentile of absolute attributions that gets the darkest colour.
        legend: what red and blue mean; None leaves the colour scale out, as does a table without maps.
        cell: the width of a cell in inches; less where the figure would be wider than 12.

    Returns:
        The figure.

    Raises:
        OptionError: no cells, titles that do not match them, or more columns than can be legible.
        ImageError: a cell that is no image or not finite.

    Reference:
        GANMEX paper, figures 2 and 4.
    """
    _check_table(rows, column_titles, row_titles)
    pictures = [_row_pictures(row, value_range, share_limit, percentile) for row in rows]
    key = _legend(legend) if legend and any(_is_map(c) for row in rows for c in row) else None
    return draw_panels(pictures, [column_titles], row_titles, title=title, legend=key, cell=cell)


def plot_explanation(
    x: np.ndarray,
    baseline: np.ndarray | None,
    attribution: np.ndarray,
    *,
    origin: int | np.ndarray,
    target: int | np.ndarray | str | None,
    class_names: Sequence[str] | None = None,
    value_range: tuple[float, float] = (0.0, 1.0),
    title: str | None = None,
    percentile: float = 99.5,
) -> Figure:
    """Plot each image beside its baseline and its attribution map, one row an image.

    Args:
        x: (n, h, w, c), or one image (h, w, c).
        baseline: one per image or one for all; None, for methods without, leaves the column out.
        attribution: one map per image.
        origin: the class explained, one for all or (n,).
        target: the class it is told from, one for all or (n,); None or "average" for one-vs-all.
        class_names: the names shown; None shows the numbers.
        value_range: the values of black and white.
        title: a line above the figure.
        percentile: the percentile of each map's absolute values that gets the darkest colour.

    Returns:
        The figure, at most 12 inches wide.

    Raises:
        ImageError: shapes that do not fit together, or values that are not finite.
        LabelError: a class without a name, or another number of classes than of images.

    Reference:
        GANMEX paper, figure 2.
    """
    images = _batch("x", x)
    shown = [images] if baseline is None else [images, _batch("baseline", baseline, like=images, repeat=True)]
    maps = _batch("attribution", attribution, like=images)
    origins, targets = _labels("origin", origin, len(images)), _labels("target", target, len(images))
    pictures, captions = [], []
    for i, (o, t) in enumerate(zip(origins, targets, strict=True)):
        cells = [*(array[i] for array in shown), ("map", maps[i])]
        pictures.append(_row_pictures(cells, value_range, False, percentile))
        captions.append(_captions(o, t, class_names, with_baseline=baseline is not None))
    key = _class_legend(origins, class_names)
    return draw_panels(pictures, captions, title=title, legend=key, cell=1.7)


def plot_targets(
    x: np.ndarray,
    origin: int | np.ndarray,
    baselines: np.ndarray | None,
    attributions: np.ndarray | Mapping[str, np.ndarray],
    targets: Sequence[int],
    *,
    class_names: Sequence[str] | None = None,
    value_range: tuple[float, float] = (0.0, 1.0),
    title: str | None = None,
    share_limit: bool = False,
    percentile: float = 99.5,
    average: bool = False,
) -> Figure:
    """Plot one image against many target classes: baselines in the first row, the maps of each method below.

    Args:
        x: one image (h, w, c), or n images (n, h, w, c), which make n blocks.
        origin: the class explained, one for all or (n,); its own column stays empty.
        baselines: (targets, h, w, c), with a leading n where x has one; None leaves the row out.
        attributions: the maps, shaped like the baselines, or several by name of the method.
        targets: the classes of the columns.
        class_names: the names shown; None shows the numbers.
        value_range: the values of black and white.
        title: a line above the figure.
        share_limit: one limit for all the maps of a row instead of one for each.
        percentile: the percentile of absolute attributions that gets the darkest colour.
        average: add a column "Avg", the mean of the row's maps over the other classes.

    Returns:
        The figure, at most 12 inches wide.

    Raises:
        ImageError: shapes that do not fit together, or values that are not finite.
        LabelError: a class without a name, or another number of classes than of images.
        OptionError: nothing to draw, or more columns than can be legible.

    Reference:
        GANMEX paper, figures 8 and 9.
    """
    if len(targets) == 0:
        raise OptionError("Expected at least one target class. Received: targets=[]. Pass the classes to compare with.")
    images = _batch("x", x)
    origins = _labels("origin", origin, len(images))
    named = attributions if isinstance(attributions, Mapping) else {"attribution": attributions}
    methods = {name: _target_batch(f"attributions[{name!r}]", a, images, targets) for name, a in named.items()}
    before = None if baselines is None else _target_batch("baselines", baselines, images, targets)

    pictures, captions, row_titles = [], [], []
    for i, o in enumerate(origins):
        others = [j for j, t in enumerate(targets) if t != o]
        rows = [_target_row(before[i], others)] if before is not None else []
        rows += [_map_row(maps[i], others, average) for maps in methods.values()]
        rows = [[images[i] if r == 0 else None, *row] for r, row in enumerate(rows)]
        pictures += [_row_pictures(row, value_range, share_limit, percentile) for row in rows]
        names = [f"→ {_name(t, class_names)}" if t != o else "" for t in targets] + ["Avg"] * average
        captions += [[_name(o, class_names), *names], *[[]] * (len(rows) - 1)]
        row_titles += ["baseline"] * (before is not None) + list(methods)
    key = _class_legend(origins, class_names)
    return draw_panels(pictures, captions, row_titles, title=title, legend=key)


def save_figure(figure: Figure, path: str | os.PathLike[str], *, dpi: float = 150) -> Path:
    """Write a figure, whole or not at all.

    Args:
        figure: any Matplotlib figure.
        path: where to; the extension says the format (.png, .pdf, .svg, ...). Missing folders are made.
        dpi: dots per inch, for the formats that have dots.

    Returns:
        The path.

    Raises:
        OptionError: an extension that Matplotlib cannot write.
    """
    path = Path(path)
    formats = figure.canvas.get_supported_filetypes()
    extension = path.suffix.removeprefix(".").lower()
    if extension not in formats:
        raise OptionError(
            f"Expected a file name that ends in one of .{', .'.join(sorted(formats))}. Received: path={str(path)!r}."
        )
    with replaced(path) as unfinished:
        figure.savefig(unfinished, dpi=dpi)
    return path


def _batch(name: str, value: Any, *, like: np.ndarray | None = None, repeat: bool = False) -> np.ndarray:
    """Return an (n, h, w, c) array, as many and as large as `like`; `repeat` allows one for all."""
    array = np.asarray(value)
    array = array[np.newaxis] if array.ndim == 3 else array
    if array.ndim != 4 or array.size == 0:
        raise ImageError(f"Expected {name} as (n, h, w, c) or (h, w, c), n > 0. Received: shape={array.shape}.")
    if like is not None and repeat and len(array) == 1:
        array = np.repeat(array, len(like), axis=0)
    if like is not None and array.shape[:3] != like.shape[:3]:
        raise ImageError(
            f"Expected {name} to have the number and size of x, {like.shape[:3]}. Received: shape={array.shape}."
        )
    return array


def _target_batch(name: str, value: Any, images: np.ndarray, targets: Sequence[int]) -> np.ndarray:
    """Return an (n, targets, h, w, c) array for n images."""
    array = np.asarray(value)
    array = array[np.newaxis] if array.ndim == 4 else array
    expected = (len(images), len(targets), *images.shape[1:3])
    if array.ndim != 5 or array.shape[:4] != expected:
        raise ImageError(
            f"Expected {name} as (images, targets, h, w, c) with the first four {expected}; a single image needs no "
            f"first axis. Received: shape={array.shape}."
        )
    return array


def _target_row(array: np.ndarray, others: Sequence[int]) -> list[Any]:
    return [array[j] if j in others else None for j in range(len(array))]


def _map_row(maps: np.ndarray, others: Sequence[int], average: bool) -> list[Any]:
    mean = [maps[others].mean(axis=0) if len(others) else None] * average
    return [None if cell is None else ("map", cell) for cell in [*_target_row(maps, others), *mean]]


def _is_map(cell: Any) -> bool:
    return isinstance(cell, tuple) and len(cell) == 2 and cell[0] == "map"


def _row_pictures(
    row: Sequence[Any], value_range: tuple[float, float], share_limit: bool, percentile: float
) -> list[np.ndarray | None]:
    maps = [cell[1] for cell in row if _is_map(cell)]
    limit = attribution_limit(*maps, percentile=percentile) if share_limit and maps else None

    def picture(cell: Any) -> np.ndarray | None:
        if _is_map(cell):
            return attribution_image(cell[1], limit=limit, percentile=percentile)
        return None if cell is None else image_rgb(cell, value_range=value_range)

    return [picture(cell) for cell in row]


def _check_table(rows: Sequence[Sequence[Any]], column_titles: Sequence[str], row_titles: Sequence[str]) -> None:
    columns = max((len(row) for row in rows), default=0)
    for name, titles, count in [("column_titles", column_titles, columns), ("row_titles", row_titles, len(rows))]:
        if len(titles) not in (0, count):
            raise OptionError(f"Expected {count} {name}, or none. Received: {name} of length {len(titles)}.")


def _labels(name: str, value: Any, n: int) -> list[Any]:
    """Return n class numbers; None and "average" (one-vs-all) stand for themselves."""
    if name == "target" and (value is None or (isinstance(value, str) and value == "average")):
        return [value] * n
    array = np.asarray(value)
    if array.dtype.kind not in "iu" or array.shape not in [(), (1,), (n,)]:
        raise LabelError(f"Expected {name} as one class number or one for each of {n} images. Received: {value!r}.")
    return [int(label) for label in np.broadcast_to(array, (n,))]


def _name(label: int, class_names: Sequence[str] | None) -> str:
    if class_names is None:
        return str(label)
    if not 0 <= label < len(class_names):
        raise LabelError(f"Expected a class from 0 to {len(class_names) - 1}, as many as names. Received: {label}.")
    return str(class_names[label])


def _captions(origin: int, target: int | str | None, names: Sequence[str] | None, *, with_baseline: bool) -> list[str]:
    own = _name(origin, names)
    if target is None or isinstance(target, str):
        baseline, question = "baseline", f"why {own}" if target is None else f"why {own}, not another"
    else:
        other = _name(target, names)
        baseline, question = f"→ {other}", f"why {own}, not {other}"
    return [own, baseline, question] if with_baseline else [own, question]


def _class_legend(origins: Sequence[int], class_names: Sequence[str] | None) -> Legend:
    own = _name(origins[0], class_names) if len(set(origins)) == 1 else "the image's class"
    return _legend((f"against {own}", f"for {own}"))


def _legend(ends: tuple[str, str]) -> Legend:
    return Legend(*ends, scale=attribution_image(np.linspace(-1, 1, 101)[np.newaxis], limit=1.0))
