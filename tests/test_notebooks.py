"""The notebooks run from top to bottom without a download."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "notebooks"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.stem)
def test_it_runs_from_top_to_bottom(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": tmp_path}}).execute()
    pictures = [
        output for cell in notebook.cells for output in cell.get("outputs", []) if "image/png" in output.get("data", {})
    ]
    assert pictures


def test_there_are_two_and_each_opens_in_colab():
    paths = sorted(FOLDER.glob("*.ipynb"))
    assert len(paths) == 2
    for path in paths:
        cells = nbformat.read(path, as_version=4).cells
        assert f"notebooks/{path.name}" in cells[0].source and "colab" in cells[0].source
        assert "pip install" in cells[1].source and "find_spec" in cells[1].source
