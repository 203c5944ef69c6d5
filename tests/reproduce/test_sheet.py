"""Tables hold ours, the published numbers and their difference."""

from __future__ import annotations

import csv

from tf_ganmex.evaluation import Row
from tf_ganmex.reproduce.sheet import Number, Sheet

SHEET = Sheet(
    "Table 3, MNIST: metrics",
    "metric",
    (
        Number.of("gini", "IG zero", Row("gini", "ig", "zero", 0.9, 0.88, 0.92, 40), 0.909),
        Number.of("gini", "EG", Row("gini", "eg", "samples", float("nan")), 0.827),
        Number("order by |A|", "IG zero", 0.1),
    ),
    notes=("40 images.",),
    claims=("It is so: **holds**.",),
)


def test_markdown_has_three_lines_where_something_was_published():
    lines = SHEET.to_markdown().splitlines()
    assert lines[2] == "| metric |  | IG zero | EG |"
    assert lines[4:8] == [
        "| gini | ours | 0.900 [0.880, 0.920] | – |",
        "|  | published | 0.909 | 0.827 |",
        "|  | difference | -0.009 | – |",
        "| order by \\|A\\| | ours | 0.100 | – |",
    ]
    assert lines[-3:] == ["## Set-up", "", "- 40 images."] and "- It is so: **holds**." in lines


def test_csv_has_a_line_a_number(tmp_path):
    paths = SHEET.write(tmp_path, "table3")
    assert [path.name for path in paths] == ["table3.md", "table3.csv"]
    with paths[1].open() as file:
        rows = list(csv.DictReader(file))
    assert [row["column"] for row in rows] == ["IG zero", "EG", "IG zero"]
    assert float(rows[0]["difference"]) == 0.9 - 0.909 and rows[0]["count"] == "40"
    assert rows[1]["ours"] == rows[1]["low"] == rows[1]["difference"] == "" and rows[2]["published"] == ""
