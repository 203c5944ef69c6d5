"""README's numbers are those of the results."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results" / "mnist"
ROWS = {
    "classified as B": (2, "assigned", ""),
    "distance from the image": (2, "distance", ""),
    "AOPC_100": (3, "aopc_100", "IG "),
    "AOPC_all": (3, "aopc_all", "IG "),
    "sparsity (Gini index)": (3, "gini", "IG "),
}


def row(title: str) -> str:
    """A line of README's table: ours, and the paper's in brackets."""
    number, metric, method = ROWS[title]
    with (RESULTS / f"table{number}.csv").open(encoding="utf-8") as file:
        found = {(line["metric"], line["column"]): line for line in csv.DictReader(file)}
    cells = []
    for baseline in ("zero", "MDTS", "GANMEX"):
        line = found[metric, method + baseline]
        ours = f"{float(line['ours']):.1%}" if metric == "assigned" else f"{float(line['ours']):.3f}"
        cells.append(f"{ours} ({float(line['published']):.3f})" if line["published"] else ours)
    return f"| {title} | {' | '.join(cells)} |"


@pytest.mark.parametrize("title", ROWS)
def test_the_table_is_that_of_the_results(title):
    assert row(title) in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()


def test_every_link_leads_somewhere():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = [part.split(")")[0].split("#")[0] for part in text.split("](")[1:]]
    missing = [target for target in targets if "://" not in target and not (ROOT / target).exists()]
    assert targets and not missing
