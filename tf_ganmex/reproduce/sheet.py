"""A table of ours beside the published numbers, with notes and claims, as markdown and CSV."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tf_ganmex.evaluation import Row
from tf_ganmex.files import replaced, write_text

NOTHING = "–"


@dataclass(frozen=True)
class Number:
    """One number of ours, and what the paper has in its place.

    Attributes:
        row: its row, a metric.
        column: its column, as it is called in the table.
        ours: the mean.
        low: lower end of the 95 % interval; None where there is none.
        high: upper end.
        published: the paper's number; None where there is none.
        count: how many images, or pairs, it is the mean of.
    """

    row: str
    column: str
    ours: float | None
    low: float | None = None
    high: float | None = None
    published: float | None = None
    count: int = 0

    @classmethod
    def of(cls, row: str, column: str, measured: Row, published: float | None) -> Number:
        """A row of an evaluation."""
        low, high = (None if end != end else end for end in (measured.low, measured.high))
        mean = None if measured.mean != measured.mean else measured.mean
        return cls(row, column, mean, low, high, published, measured.count)

    @property
    def difference(self) -> float | None:
        """Ours less the paper's."""
        return None if self.ours is None or self.published is None else self.ours - self.published


@dataclass(frozen=True)
class Sheet:
    """A table.

    Attributes:
        title: a heading.
        head: what the first column holds.
        numbers: all of them; rows and columns come in their order.
        notes: differences of set-up, one a line.
        claims: whether the paper's claims hold, one a line.
        digits: behind the point.
    """

    title: str
    head: str
    numbers: tuple[Number, ...]
    notes: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()
    digits: int = 3

    def to_markdown(self) -> str:
        """Three lines a row (ours, published, difference) where the paper has numbers, otherwise one."""
        rows, columns = ([*dict.fromkeys(getattr(n, name) for n in self.numbers)] for name in ("row", "column"))
        by_place = {(number.row, number.column): number for number in self.numbers}
        lines = [f"# {self.title}", "", _line([self.head, "", *columns]), _line(["---"] * (len(columns) + 2))]
        for row in rows:
            numbers = [by_place.get((row, column)) for column in columns]
            lines.append(_line([row, "ours", *(NOTHING if n is None else self._ours(n) for n in numbers)]))
            if any(n is not None and n.published is not None for n in numbers):
                published = [None if n is None else n.published for n in numbers]
                differences = [None if n is None else n.difference for n in numbers]
                lines.append(_line(["", "published", *(self._text(value) for value in published)]))
                lines.append(_line(["", "difference", *(self._text(value, "+") for value in differences)]))
        for title, texts in (("Claims of the text", self.claims), ("Set-up", self.notes)):
            if texts:
                lines += ["", f"## {title}", "", *(f"- {text}" for text in texts)]
        return "\n".join(lines) + "\n"

    def write(self, folder: Path, name: str) -> list[Path]:
        """Writes NAME.md and NAME.csv; returns the paths."""
        paths = [folder / f"{name}.md", folder / f"{name}.csv"]
        write_text(paths[0], self.to_markdown())
        with replaced(paths[1]) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([self.head, "column", "ours", "low", "high", "published", "difference", "count"])
            writer.writerows(
                ["" if v is None else v for v in (n.row, n.column, n.ours, n.low, n.high, n.published, n.difference)]
                + [n.count]
                for n in self.numbers
            )
        return paths

    def _ours(self, number: Number) -> str:
        if number.low is None or number.high is None:
            return self._text(number.ours)
        return f"{self._text(number.ours)} [{self._text(number.low)}, {self._text(number.high)}]"

    def _text(self, value: float | None, sign: str = "") -> str:
        return NOTHING if value is None else f"{value:{sign}.{self.digits}f}"


def _line(words: Sequence[str]) -> str:
    return "| " + " | ".join(word.replace("|", "\\|") for word in words) + " |"
