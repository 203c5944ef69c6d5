"""Lay out pictures with titles, all lengths in inches.

Matplotlib's own layout engines do not wrap a title to the width of the picture below it, so the sizes of texts are
measured first and the figure is built around them. No pyplot, no global state.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from tf_ganmex.errors import OptionError

MAX_WIDTH = 12.0
_MIN_CELL = 0.4
_MARGIN, _GAP = 0.12, 0.08
_ROW_TITLE_WIDTH, _MIN_LEGEND_WIDTH, _BAR = 1.4, 3.2, (0.9, 0.11)
_FONT_SIZES = (9.0, 8.5, 8.0, 7.5, 7.0, 6.5)  # points
_TITLE_SIZE = 11.0
_LINE_HEIGHT = 1.3  # in font sizes
_INK, _FRAME = "#222222", "#bbbbbb"


class InlineFigure(Figure):
    """A figure that a notebook shows even where pyplot was never imported."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()


@dataclass(frozen=True)
class Texts:
    """Texts of one font, wrapped to one width."""

    lines: list[list[str]]
    font: FontProperties

    @property
    def width(self) -> float:
        return max((_width(line, self.font) for lines in self.lines for line in lines), default=0.0)

    def height(self, index: int) -> float:
        return len(self.lines[index]) * self.font.get_size_in_points() * _LINE_HEIGHT / 72

    @property
    def tallest(self) -> float:
        return max((self.height(i) for i in range(len(self.lines))), default=0.0)


@dataclass(frozen=True)
class Legend:
    """The two ends of the colour scale and the picture of it, (h, w, 3) from negative to positive."""

    negative: str
    positive: str
    scale: np.ndarray


def fit_texts(texts: Sequence[str], width: float, *, sizes: Sequence[float] = _FONT_SIZES, bold: bool = False) -> Texts:
    """Wrap the texts to the width, in the largest font that breaks no word and needs at most three lines."""
    words = [[w for w in re.split(r"[ \t\r\n]+", text) if w] for text in texts]
    for size in sizes:
        font = FontProperties(size=size, weight="bold" if bold else "normal")
        lines = [_wrap(w, width, font) for w in words]
        if all(len(ls) <= 3 and all(_width(line, font) <= width for line in ls) for ls in lines):
            return Texts(lines, font)
    lines = [_wrap(w, width, font, break_words=True) for w in words]
    return Texts([ls if len(ls) <= 4 else [*ls[:3], ls[3][:-1] + "…"] for ls in lines], font)


def draw_picture(axes: Axes, rgb: np.ndarray) -> None:
    """Show an (h, w, 3) picture without ticks, in a thin frame that keeps white pictures apart from the page."""
    axes.imshow(rgb, aspect="equal")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(color=_FRAME, linewidth=0.6)


def draw_panels(
    pictures: Sequence[Sequence[np.ndarray | None]],
    captions: Sequence[Sequence[str]],
    row_titles: Sequence[str] = (),
    *,
    title: str | None = None,
    legend: Legend | None = None,
    cell: float = 1.2,
) -> Figure:
    """Draw rows of (h, w, 3) pictures, each with a caption above it and each row with a title on its left.

    Args:
        pictures: rows of pictures; None leaves a place empty.
        captions: one list a row, as long as the row or shorter; rows without captions stand closer.
        row_titles: one a row, or none at all.
        title: a line above all.
        legend: the colour scale, below all.
        cell: the width of a picture; less where the figure would be wider than 12 inches.

    Returns:
        The figure.

    Raises:
        OptionError: no pictures, or too many columns to be legible.
    """
    columns = max((len(row) for row in pictures), default=0)
    if columns == 0:
        raise OptionError("Expected something to draw. Received: no pictures. Pass at least one image or map.")
    side_titles = fit_texts(row_titles, _ROW_TITLE_WIDTH)
    left = side_titles.width + _GAP if side_titles.width else 0.0
    cell = min(cell, (MAX_WIDTH - 2 * _MARGIN - left + _GAP) / columns - _GAP)
    if cell < _MIN_CELL:
        raise OptionError(
            f"Expected at most {int(10.2 / (_MIN_CELL + _GAP))} pictures side by side. Received: columns={columns}. "
            "Show fewer classes, methods or baselines in one figure."
        )
    content = left + columns * (cell + _GAP) - _GAP
    inner = max(content, _MIN_LEGEND_WIDTH) if legend else content
    shift = _MARGIN + (inner - content) / 2

    heading = fit_texts([title] if title else [], inner, sizes=(_TITLE_SIZE, 10.0, 9.0), bold=True)
    above = _caption_texts(captions, len(pictures), cell)
    heights = [cell * max((p.shape[0] / p.shape[1] for p in row if p is not None), default=1.0) for row in pictures]
    keys = fit_texts([legend.negative, legend.positive] if legend else [], (inner - _BAR[0]) / 2 - _GAP)

    blocks = [texts.tallest + height + _GAP for texts, height in zip(above, heights, strict=True)]
    tops = list(accumulate(blocks, initial=_MARGIN + heading.tallest + (_GAP if title else 0)))
    page = _Page(inner + 2 * _MARGIN, tops[-1] + (keys.tallest + _GAP / 2 if legend else 0) + _MARGIN - _GAP)

    if title:
        page.text(heading, 0, page.width / 2, _MARGIN, ha="center", va="top")
    for r, row in enumerate(pictures):
        top = tops[r] + above[r].tallest
        if row_titles:
            page.text(side_titles, r, shift + left - _GAP, top + heights[r] / 2, ha="right", va="center")
        for c in range(len(above[r].lines)):
            page.text(above[r], c, shift + left + c * (cell + _GAP) + cell / 2, top - 0.04, ha="center", va="bottom")
        for c, picture in enumerate(row):
            if picture is not None:
                draw_picture(page.axes(shift + left + c * (cell + _GAP), top, cell, heights[r]), picture)
    if legend:
        _draw_legend(page, legend, keys, tops[-1] + keys.tallest / 2)
    return page.figure


class _Page:
    """A figure with its origin at the top left, in inches."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.figure = InlineFigure(figsize=(width, height), facecolor="white")
        self.figure.set_layout_engine("none")  # whatever the user's settings say

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        w, h = self.width, self.height
        return self.figure.add_axes((x / w, 1 - (y + height) / h, width / w, height / h))

    def text(self, texts: Texts, index: int, x: float, y: float, *, ha: str, va: str, color: str = _INK) -> None:
        lines = "\n".join(texts.lines[index])
        artist = self.figure.text(x / self.width, 1 - y / self.height, lines, ha=ha, va=va, color=color)
        artist.set(fontproperties=texts.font, multialignment=ha)
        artist.set_parse_math(False)  # a class name may hold a dollar sign


def _draw_legend(page: _Page, legend: Legend, keys: Texts, middle: float) -> None:
    """Draw the colour scale in the middle of the page, its ends named on either side in their colours."""
    width, height = _BAR
    left = page.width / 2 - width / 2
    axes = page.axes(left, middle - height / 2, width, height)
    draw_picture(axes, legend.scale)
    axes.set_aspect("auto")
    ends = legend.scale[0, legend.scale.shape[1] // 5], legend.scale[0, -legend.scale.shape[1] // 5]
    page.text(keys, 0, left - _GAP, middle, ha="right", va="center", color=ends[0])
    page.text(keys, 1, left + width + _GAP, middle, ha="left", va="center", color=ends[1])


def _caption_texts(captions: Sequence[Sequence[str]], rows: int, width: float) -> list[Texts]:
    """Wrap the captions of every row, all in the font of the row that needs the smallest."""
    size = min(fit_texts(row, width).font.get_size_in_points() for row in [*captions, []])
    return [fit_texts(captions[r] if r < len(captions) else [], width, sizes=(size,)) for r in range(rows)]


def _wrap(words: Sequence[str], width: float, font: FontProperties, *, break_words: bool = False) -> list[str]:
    """Fill lines with words, or with the parts of a word that is wider than a line."""
    lines: list[str] = []
    for word in words:
        space = " "
        for part in [word] if _width(word, font) <= width else _parts(word, width, font, break_words):
            if lines and _width(lines[-1] + space + part, font) <= width:
                lines[-1] += space + part
            else:
                lines.append(part)
            space = ""
    return lines


def _parts(word: str, width: float, font: FontProperties, letters: bool) -> list[str]:
    """Split a word after its hyphens, underscores and slashes, and if need be between letters."""
    parts = re.findall(r"[^-_/]*[-_/]|[^-_/]+", word)
    return [piece for p in parts for piece in (p if letters and _width(p, font) > width else [p])]


def _width(line: str, font: FontProperties) -> float:
    # Drawn text is hinted, which can make it a little wider than its outlines.
    return 1.03 * text_to_path.get_text_width_height_descent(line, font, ismath=False)[0] / 72
