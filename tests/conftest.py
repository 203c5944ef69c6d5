"""What all tests share: a quiet TensorFlow, and the folder of shared data where there is one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder ``shared`` beside the project, with data and models that are too large for it."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("needs the data and models in the folder 'shared' beside the project")
    return folder
