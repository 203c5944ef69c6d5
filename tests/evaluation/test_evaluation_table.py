"""Tables and pictures hold every number, and can be read back."""

from __future__ import annotations

import csv
import itertools
import json
import math
import sys

import numpy as np
import pytest
from evaluation_cases import METHODS

from tf_ganmex.errors import OptionError
from tf_ganmex.evaluation import Curve, EvaluationTable, Row
from tf_ganmex.metrics import bootstrap_interval

COLUMNS = 2 * 3 + 2  # three methods with two baselines, and two without


def test_rows_hold_every_metric_of_every_column(table):
    of_maps = [row for row in table.rows if row.method]
    assert len(of_maps) == 6 * COLUMNS and {row.method for row in of_maps} == set(METHODS)
    assert {row.baseline for row in of_maps if row.method == "gradient"} == {"none"}
    assert {row.baseline for row in of_maps if row.method == "expected_gradients"} == {"samples"}
    assert [row.metric for row in table.rows if row.method == "gradient"] == list(
        dict.fromkeys(row.metric for row in of_maps)
    )


def test_csv_and_json_can_be_read_back(table, tmp_path):
    with table.to_csv(tmp_path / "t.csv").open() as file:
        read = list(csv.DictReader(file))
    content = json.loads(table.to_json(tmp_path / "t.json").read_text(encoding="utf-8"))
    assert len(read) == len(content["rows"]) == len(table.rows)
    for row, line, entry in zip(table.rows, read, content["rows"], strict=True):
        assert float(line["mean"]) == row.mean == entry["mean"] and int(line["count"]) == row.count
        assert (line["low"] == "") == math.isnan(row.low) == (entry["low"] is None)
    assert content["settings"]["seed"] == 0 and content["notes"] == list(table.notes)
    assert len(content["curves"]) == COLUMNS and len(content["curves"][0]["mean"]) == 65


def test_markdown_has_a_line_a_column_and_the_notes(table):
    text = table.to_markdown()
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + COLUMNS + 2 + 4  # of baselines: two, D_intra and D_inter
    row = table["gini", "deeplift", "nearest"]
    assert f"{row.mean:.3f} [{row.low:.3f}, {row.high:.3f}]" in text
    assert all(note in text for note in table.notes)
    assert len({line.count(" | ") for line in lines[: 2 + COLUMNS]}) == 1


def test_the_terminal_shows_every_column(table, capsys):
    table.show()
    shown = capsys.readouterr().out
    assert shown.count("× zero") == 3 and shown.count("× samples") == 1 and "aopc" in shown
    assert f"{table['gini', 'gradient', 'none'].mean:.3f}" in shown


def test_curves_have_a_panel_a_method_and_a_line_a_baseline(table):
    axes = table.plot_curves().axes
    assert [a.get_title() for a in axes] == ["integrated_gradients", "deeplift", "occlusion"]
    for panel in axes:
        lines = {line.get_label(): line for line in panel.get_lines() if not line.get_label().startswith("_")}
        assert set(lines) == {"zero", "nearest", "expected_gradients", "gradient"}
        curve = table.curves[panel.get_title(), "zero"]
        np.testing.assert_array_equal(lines["zero"].get_ydata(), curve.mean)
        assert len(panel.collections) == 4  # bands
    assert np.ptp(table.curves["deeplift", "zero"].error) > 0


def test_methods_without_baseline_alone_have_a_panel(table):
    alone = EvaluationTable(
        **{**vars(table), "curves": {key: curve for key, curve in table.curves.items() if key[1] == "none"}}
    )
    assert len(alone.plot_curves().axes) == 1


def test_bars_have_a_panel_a_metric_and_a_bar_a_column(table):
    axes = {a.get_title(): a for a in table.plot_bars().axes if a.get_title()}
    assert len(axes) == 9
    panel = axes["gini ↑"]
    heights = [bar.get_height() for bar in panel.patches]
    assert heights == [row.mean for row in table.rows if row.metric == "gini"]
    assert len([a for a in table.plot_bars(metrics=["gini", "distance"]).axes if a.get_title()]) == 2


def test_bars_and_curves_call_the_same_thing_the_same(table):
    legends = [{text.get_text() for text in figure.legends[0].get_texts()} for figure in figures(table)]
    assert legends[0] == legends[1] == {"zero", "nearest", "expected_gradients", "gradient"}


def figures(table):
    return table.plot_curves(), table.plot_bars()


@pytest.mark.parametrize(("methods", "baselines", "upright"), [(2, 1, True), (5, 5, True), (6, 6, False)])
def test_labels_of_bars_do_not_overlap(methods, baselines, upright):
    names = ("zero", "maximum", "blurred", "nearest", "random_sample", "ganmex")[:baselines]
    alone = {"expected_gradients": ["samples"], "gradient": ["none"]}
    rows = [
        Row("gini", method, baseline, 0.5, 0.4, 0.6, 3)
        for method in (*METHODS, "deepshap")[:methods]
        for baseline in alone.get(method, names)
    ]
    table = EvaluationTable(tuple(rows), {}, {}, np.arange(3), np.arange(3), np.arange(3), {}, ())
    figure = table.plot_bars()
    figure.canvas.draw()
    labels = figure.axes[0].get_xticklabels()
    assert len(labels) == methods and all((label.get_rotation() == 0) == upright for label in labels)
    if upright:
        boxes = [label.get_window_extent() for label in labels]
        assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))


def test_what_cannot_be_drawn_is_told(table):
    for metrics in (["beauty"], [], "gini", [len]):
        with pytest.raises(OptionError, match=r"Expected metrics .*among.* gini"):
            table.plot_bars(metrics=metrics)
    with pytest.raises(OptionError, match="aopc_100"):
        EvaluationTable(**{**vars(table), "curves": {}}).plot_curves()


def test_what_the_table_does_not_hold_is_told_with_what_it_holds(table):
    with pytest.raises(KeyError, match=r"'nope'.*gini of .*deeplift × zero, deeplift × nearest"):
        table["gini", "deeplift", "nope"]
    with pytest.raises(KeyError, match="metrics aopc_10"):
        table["deeplift"]


def test_a_comparison_is_of_the_same_images(table):
    first, second = ("deeplift", "zero"), ("integrated_gradients", "nearest")
    difference = table.compare("gini", first, second)
    values = [table.values["gini", *column] for column in (first, second)]
    assert difference == bootstrap_interval(values[0] - values[1])
    assert table.compare("gini", second, first).mean == -difference.mean
    itself = table.compare("distance", ("", "zero"), ("", "zero"))
    assert (itself.mean, itself.low, itself.high, itself.count) == (0, 0, 0, len(table.image))


def test_a_comparison_takes_images_not_questions_and_leaves_out_what_is_undefined(table):
    image = np.array([4, 4, 7, 7, 2, 2])
    values = {
        ("m", "a", "zero"): np.array([1.0, 3, 5, np.nan, np.nan, np.nan]),
        ("m", "b", "zero"): np.array([0.0, 0, 1, 1, 1, 1]),
        ("drawn", "a", "zero"): np.arange(4.0),
        ("drawn", "b", "zero"): np.zeros(4),
    }
    small = EvaluationTable((), {}, values, image, image, image, {}, ())
    found = small.compare("m", ("a", "zero"), ("b", "zero"))
    assert (found.mean, found.count, found.undefined) == ((2 + 4) / 2, 2, 1)
    assert small.compare("drawn", ("a", "zero"), ("b", "zero")).mean == 1.5


def test_what_cannot_be_compared_is_told(table):
    with pytest.raises(OptionError, match="metrics aopc_10"):
        table.compare("fid", ("", "zero"), ("", "nearest"))
    with pytest.raises(OptionError, match="deeplift × zero"):
        table.compare("gini", ("deeplift", "zero"), ("deeplift", "nope"))


def test_a_data_frame_has_the_rows(table, monkeypatch):
    pytest.importorskip("pandas")
    frame = table.to_dataframe()
    assert len(frame) == len(table.rows)
    of_gini = frame[frame.metric == "gini"].set_index(["method", "baseline"])
    assert of_gini.loc[("deeplift", "zero"), "mean"] == table["gini", "deeplift", "zero"].mean
    assert list(frame.columns) == list(vars(table.rows[0]))
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(OptionError, match="pip install pandas"):
        table.to_dataframe()


def test_everything_is_written(table, tmp_path):
    paths = table.save(tmp_path / "out")
    assert [path.name for path in paths] == ["table.md", "table.csv", "table.json", "curves.png", "bars.png"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {path.name for path in paths}
    assert all(path.stat().st_size for path in paths)


def test_names_of_the_users_own_do_no_harm(tmp_path):
    rows = (Row("gini", "deeplift", "a|b [red]x[/] $y", 0.5, 0.4, 0.6, 3), Row("fid", "", "a|b [red]x[/] $y", math.nan))
    curves = {("deeplift", "a|b [red]x[/] $y"): Curve(np.ones(3), np.zeros(3))}
    table = EvaluationTable(rows, curves, {}, np.arange(3), np.arange(3), np.arange(3), {"score": "logit"}, ())
    assert len(table.save(tmp_path)) == 5
    table.show()
