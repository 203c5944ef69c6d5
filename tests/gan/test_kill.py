"""A training that is killed (`kill -9`) at random moments ends with bitwise the weights of one that is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
SCRIPT = Path(__file__).with_name("killed_training.py")
KILLS = 3


@pytest.mark.parametrize("trainer", ["keras", "estimator"])
def test_killed_and_resumed_is_bitwise_the_same(trainer, tmp_path):
    command = [sys.executable, str(SCRIPT), trainer, str(tmp_path), str(KILLS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    killed_at = json.loads(done.stdout)
    assert len(killed_at) == KILLS
    assert sorted(set(killed_at)) == killed_at, "every training got further than the one before"
    with np.load(tmp_path / "straight" / "weights.npz") as one, np.load(tmp_path / "killed" / "weights.npz") as two:
        assert int(one["step"]) == int(two["step"]) == 24
        for name in one.files:
            np.testing.assert_array_equal(one[name], two[name], err_msg=name)
