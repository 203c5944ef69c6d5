"""``ganmex reproduce``, as a user calls it, on a tiny problem that is called mnist."""

from __future__ import annotations

import csv
import subprocess
import sys

import pytest

from tf_ganmex.cli import main
from tf_ganmex.reproduce.published import COLUMNS, OURS, label

FAST = ["--steps", "3", "--monotonicity-images", "4", "--monotonicity-draws", "2", "--jobs", "1"]
ROAR = ["--roar-images", "24", "--roar-pairs", "1", "--roar-repeats", "1"]


def run(folder, *arguments) -> int:
    places = ["--models", folder / "models", "--out", folder / "out", "--keep", folder / "keep"]
    return main(["reproduce", str(folder / "mnist.npz"), *map(str, [*places, *arguments])])


def rows(folder, number):
    with (folder / "out" / f"table{number}.csv").open() as file:
        return list(csv.DictReader(file))


def test_help_imports_no_tensorflow():
    code = "from tf_ganmex.cli import main; main(['reproduce', '--help'])"
    result = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, check=True
    )
    assert "ganmex reproduce" in result.stdout.split("examples:")[1]
    assert not any(f" {module}\n" in result.stderr for module in ("tensorflow", "keras", "numpy", "matplotlib"))


def test_table_3_has_every_column_beside_the_published_number(folder, capsys, monkeypatch):
    assert run(folder, "--table", "3", "--limit", "8", *FAST, *ROAR) == 0
    text = capsys.readouterr().out
    found = {(row["metric"], row["column"]): row for row in rows(folder, 3)}
    metrics = ["aopc_100", "aopc_all", "gini", "gini_shifted", "faithfulness", "monotonicity"]
    roar = ["AORoarC, signed order", "AORoarC, order by |A|", "AORoarC, random maps"]
    assert list(found) == [
        *((metric, label(place)) for metric in metrics for place in (*COLUMNS, *OURS)),
        *((metric, label(place)) for metric in roar for place in COLUMNS),
    ]
    assert found["aopc_100", "DeepLIFT zero"]["published"] == "0.505"
    assert found["aopc_100", "DeepLIFT complete zero"]["published"] == ""
    assert found["aopc_100", "IG GANMEX"]["published"] == "1.421"
    assert found["AORoarC, signed order", "EG"]["published"] == "0.211"
    row = found["gini", "IG zero"]
    assert float(row["difference"]) == pytest.approx(float(row["ours"]) - 0.909)
    assert float(row["low"]) <= float(row["ours"]) <= float(row["high"]) and row["count"] == "8"
    assert "IG: GANMEX above MDTS above zero in AOPC_100 (Table 3): **" in text
    assert "4 filters, 1 blocks" in text and "8 of 40 test images" in text and "random maps" in text
    first = (folder / "out" / "table3.csv").read_bytes()

    def refuse(*args, **kwargs):
        raise AssertionError("computed again")

    monkeypatch.setattr("tf_ganmex.evaluation.columns.Column.maps", refuse)
    monkeypatch.setattr("tf_ganmex.metrics.retraining.Retrainer.accuracy", refuse)
    assert run(folder, "--table", "3", "--limit", "8", *FAST, *ROAR) == 0
    assert (folder / "out" / "table3.csv").read_bytes() == first


def test_tables_2_and_4(folder, capsys):
    assert run(folder, "--table", "2", "4", "--limit", "8", *FAST) == 0
    distances = {row["column"]: row for row in rows(folder, 2) if row["metric"] == "distance"}
    assert list(distances) == ["D_intra", "D_inter", "GANMEX", "MDTS", "random", "zero"]
    assert distances["zero"]["published"] == "9.28" and "appendix B" in capsys.readouterr().out
    times = {(row["time"], row["column"]): row for row in rows(folder, 4)}
    whole, single = times["seconds for the whole test set", "IG"], times["ms per image", "IG"]
    assert float(whole["ours"]) == pytest.approx(40 * float(single["ours"]) / 1000)
    assert whole["published"] == "43.5" and float(single["published"]) == pytest.approx(4.35)


def test_figures(folder):
    names = ["targets", "baselines", "curves", "sparsity"]
    assert run(folder, "--figure", *names, "--limit", "8", *FAST) == 0
    assert {path.name for path in (folder / "out").glob("*.png")} == {f"{name}.png" for name in names}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--table", "5"], "Expected --table among 2, 3, 4. Received: 5."),
        (["--figure", "nine"], "Expected --figure among targets"),
        (["--table", "2", "--models", "nowhere"], "Received: no nowhere/classifier.keras."),
        (["--table", "2", "--roar-images", "few"], "argument --roar-images"),
    ],
)
def test_errors_are_one_line(folder, capsys, arguments, said):
    try:
        code = run(folder, *arguments)
    except SystemExit as stop:
        code = stop.code
    error = capsys.readouterr().err.replace("loading TensorFlow\n", "")
    assert code == 2 and said in error and error.count("\n") == 1


def test_an_unknown_dataset_is_told(folder, capsys):
    assert main(["reproduce", "unheard_of", "--models", str(folder / "models"), "--table", "2"]) == 2
    assert "unheard_of" in capsys.readouterr().err
