"""``ganmex evaluate``, as a user calls it."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import warnings

import numpy as np
import pytest
from evaluation_cases import CLASSES, TEST, WRONG, small_classifier, small_ganmex

import tf_ganmex as gx
from tf_ganmex.cli import main

FAST = ["--steps", "4", "--metrics", "aopc_10", "aopc_all", "gini", "faithfulness", "distance", "assigned", "fid"]


@pytest.fixture(scope="module")
def folder(clf, data, ganmex, tmp_path_factory):
    """A model, a GANMEX and an .npz of the small data, and masks."""
    folder = tmp_path_factory.mktemp("command")
    clf.keras_model.save(folder / "model.keras")
    ganmex.save(folder / "gan")
    arrays = {name: getattr(data, name) for name in ("x_train", "y_train", "x_test", "y_test")}
    np.savez(folder / "data.npz", **arrays)
    np.save(folder / "masks.npy", np.eye(8, dtype=bool))
    return folder


def run(folder, *arguments) -> int:
    return main(["evaluate", str(folder / "model.keras"), str(folder / "data.npz"), *map(str, arguments)])


def rows(out):
    with (out / "table.csv").open() as file:
        return list(csv.DictReader(file))


def test_help_imports_no_tensorflow():
    code = "from tf_ganmex.cli import main; main(['evaluate', '--help'])"
    result = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, check=True
    )
    assert "ganmex evaluate" in result.stdout.split("examples:")[1]
    assert not any(f" {module}\n" in result.stderr for module in ("tensorflow", "keras", "numpy", "matplotlib"))


def test_from_files_to_tables_and_plots(folder, tmp_path, capsys):
    arguments = ("--ganmex", folder / "gan", "--out", tmp_path / "out", *FAST, "--jobs", "1")
    assert run(folder, *arguments) == 0
    shown = capsys.readouterr()
    assert "× ganmex" in shown.out and f"{TEST - len(WRONG)} test images, 10 columns: 1 of 1 blocks" in shown.err
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "table.md", "table.csv", "table.json", "curves.png", "bars.png", "cells", "effects",
    }  # fmt: skip
    columns = {(row["method"], row["baseline"]) for row in rows(tmp_path / "out") if row["metric"] == "gini"}
    baselines = ("zero", "nearest", "ganmex")
    compared = {(m, b) for m in ("integrated_gradients", "deeplift", "occlusion") for b in baselines}
    assert columns == compared | {("expected_gradients", "samples")}
    settings = json.loads((tmp_path / "out" / "table.json").read_text())["settings"]
    assert settings["methods"]["integrated_gradients"]["steps"] == 4 and settings["limit"] == 1000
    before = rows(tmp_path / "out")
    assert run(folder, *arguments) == 0
    assert "0 of 1 blocks to compute" in capsys.readouterr().err and rows(tmp_path / "out") == before


def test_options_reach_the_evaluation(folder, tmp_path):
    options = [
        *("--methods", "integrated_gradients", "deeplift", "occlusion", "--baselines", "maximum", folder / "gan"),
        *("--metrics", "inverse_localization", "monotonicity", "edge_distance", "run_time", "--monotonicity-draws", 2),
        *("--monotonicity-images", 5, "--relevant", folder / "masks.npy", "--edge-width", 2, "--limit", 12),
        *("--targets", "all", "--keep-misclassified", "--score", "logit", "--seed", 3, "--rule", "right"),
        *("--rules", "deepexplain", "--window", 2, "--steps", 3, "--keep-maps", "--jobs", 1, "--out", tmp_path),
    ]
    assert run(folder, *options) == 0
    settings = json.loads((tmp_path / "table.json").read_text())["settings"]
    expected = {
        "limit": 12, "targets": "all", "keep_misclassified": True, "score": "logit", "seed": 3, "edge_width": 2,
        "monotonicity_images": 5, "monotonicity_draws": 2, "baselines": ["maximum", "gan"],
        "methods": {
            "integrated_gradients": {"score": "logit", "steps": 3, "rule": "right"},
            "deeplift": {"score": "logit", "rules": "deepexplain"},
            "occlusion": {"score": "logit", "window": 2},
        },
    }  # fmt: skip
    assert settings.items() >= expected.items()
    found = {(row["metric"], row["method"], row["baseline"]): row for row in rows(tmp_path)}
    assert int(found["inverse_localization", "deeplift", "gan"]["count"]) == 12
    assert int(found["monotonicity", "occlusion", "maximum"]["count"]) == 5
    assert int(found["run_time", "", "gan"]["count"]) == 12 * (CLASSES - 1)
    assert list((tmp_path / "maps").glob("*.npz"))


def test_several_processes_give_the_same_table(folder, tmp_path, capsys):
    options = ["--methods", "deeplift", "expected_gradients", "--baselines", "nearest", *FAST, "--targets", "all"]
    options += ["--keep-misclassified", "--out"]
    assert run(folder, *options, tmp_path / "two", "--jobs", 2) == 0
    assert "2 of 2 blocks" in capsys.readouterr().err
    assert run(folder, *options, tmp_path / "one", "--jobs", 1) == 0
    for row, other in zip(rows(tmp_path / "two"), rows(tmp_path / "one"), strict=True):
        assert row["metric"] == other["metric"] and float(row["mean"]) == pytest.approx(float(other["mean"]), rel=1e-3)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--metrics", "beauty"], "monotonicity"),
        (["--baselines", "average"], "GANMEX directory"),
        (["--baselines", "ganmex"], "--ganmex"),
        (["--ganmex", "nowhere"], "nowhere"),
        (["--metrics", "inverse_localization"], "--relevant edges"),
        (["--limit", "1", "--seed", "13"], "--keep-misclassified"),
        (["--metrics", "inverse_localization", "--relevant", "nowhere.npy"], "nowhere.npy"),
        (["--targets", "pear"], "pear"),
        (["--seed", "-1"], "--seed -1"),
        (["--out", "file/out"], "a file"),
        (["--out", "file"], "a file"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(folder, tmp_path, monkeypatch, capsys, arguments, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("in the way")
    if "--out" in arguments:
        monkeypatch.setattr("tf_ganmex.cli.evaluate.import_tensorflow", lambda: pytest.fail("too late"))
    jobs = ["--methods", "integrated_gradients", "--metrics", "gini", "--jobs", "1", "--limit", "4"]
    assert run(folder, *jobs, *arguments) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(errors) == 1 and expected in errors[0]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--methods", "magic"], "deeplift"),
        (["--limit", "0"], "at least 1"),
        (["--limit", "abc"], "an integer of at least 1, or all, not abc"),
        (["--monotonicity-images", "1.5"], "or all, not 1.5"),
        (["--jobs", "0"], "at least 1"),
        (["--score", "rank"], "probability"),
        (["--rule", "simpson"], "gauss-legendre"),
        (["--rules", "simpson"], "deepexplain"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_code_2(folder, arguments, expected, capsys):
    with pytest.raises(SystemExit) as stopped:
        run(folder, *arguments)
    told = capsys.readouterr().err
    assert stopped.value.code == 2 and told.count("\n") == 1 and expected in told


def test_a_ganmex_of_another_classifier_and_where_numbers_come_from_are_noted(folder, tmp_path, monkeypatch, capsys):
    small_ganmex(small_classifier(seed=1)).save(tmp_path / "other")
    typed = ["evaluate", str(folder / "model.keras"), "small", "--limit", "6"]
    monkeypatch.setattr("sys.argv", ["/somewhere/bin/ganmex", *typed])
    options = ["--methods", "gradient", "--metrics", "gini", "distance", "--jobs", "1", "--out", tmp_path / "out"]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert run(folder, *options, "--limit", "6", "--ganmex", tmp_path / "other") == 0
    expected = "The GANMEX of the baseline ganmex was trained for another classifier"
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if expected in line and line.startswith("note: ")]
    notes = json.loads((tmp_path / "out" / "table.json").read_text())["notes"]
    assert any(expected in note for note in notes)
    assert notes[-2] == "Command: ganmex evaluate model.keras small --limit 6"
    assert all(word in notes[-1] for word in (f"tf-ganmex {gx.__version__}", "TensorFlow 2", "Keras 3"))
