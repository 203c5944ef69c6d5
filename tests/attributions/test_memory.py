"""Methods keep within their memory however many images: 64 of 224 × 224 through a MobileNet."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BUDGET = 2000  # MB above the model
SCRIPT = Path(__file__).with_name("peak_memory.py")


def peak(method: str, images: int, **options) -> float:
    environment = os.environ | {"PYTHONPATH": str(SCRIPT.parents[2]), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, str(SCRIPT), method, str(images), json.dumps(options)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells the peak of a part of a run")
@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("integrated_gradients", {"steps": 4}),
        ("expected_gradients", {"steps": 4}),
        ("occlusion", {"window": 112, "stride": 112}),
        ("deeplift", {}),
    ],
)
def test_the_memory_above_the_model_is_bounded(method, options):
    assert peak(method, 64, **options) < BUDGET
