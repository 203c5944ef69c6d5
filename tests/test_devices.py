"""All that computes with TensorFlow does so on the device of the caller, and under XLA if the caller turns it on."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("on_devices.py")
PLACED = re.compile(r"\] \S+: \((\w+)\): \S*device:(\S+)$|Executing op (\w+) in device \S*device:(\S+)$")
# Arguments stay where the caller has them: weights on the device under which they were loaded, shapes on the host.
MOVED = {"_Arg", "_DeviceArg", "_Retval", "Identity", "Enter", "Merge", "Switch", "NextIteration", "Exit"}


def told(mode: str, **environment: str) -> str:
    environment = {"PYTHONPATH": str(SCRIPT.parents[1]), "TF_CPP_MIN_LOG_LEVEL": "0"} | environment
    command = [sys.executable, str(SCRIPT), mode]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stderr


@pytest.fixture(scope="module")
def placement():
    return told("placement")


@pytest.fixture(scope="module")
def operations(placement):
    """What was told of each call: (operation, device)."""
    found, name = defaultdict(set), ""
    for line in placement.splitlines():
        if line.startswith(("BEGIN", "END")):
            name = line.removeprefix("BEGIN").removeprefix("END").strip()
        elif name and (match := PLACED.search(line)):
            found[name].add((match[1] or match[3], match[2] or match[4]))
    return found


@pytest.mark.parametrize(
    ("name", "must"),
    [
        ("probabilities", {"Softmax"}),
        ("gradient", {"Conv2DBackpropInput"}),
        ("integrated_gradients", {"MatMul"}),
        ("expected_gradients", {"Conv2DBackpropInput"}),
        ("occlusion", {"MatMul"}),
        ("deeplift", {"MatMul"}),
        ("deepshap", {"MatMul"}),
        ("curve", {"MatMul"}),
        ("fid", {"Conv2D"}),
        ("nearest", {"MatMul", "Where"}),
        ("generate", {"Conv2D"}),
        ("fit", {"Conv2DBackpropFilter"}),
        ("elsewhere", {"MatMul"}),
    ],
)
def test_computes_where_the_caller_says(name, must, operations):
    wanted, other = ("CPU:0", "CPU:1") if name == "elsewhere" else ("CPU:1", "CPU:0")
    assert {(operation, wanted) for operation in must} <= operations[name]
    assert {operation for operation, device in operations[name] if device == other} <= MOVED


def test_weights_lie_where_they_were_made(placement):
    assert "HELD CPU:1" in placement.splitlines()


def test_maps_under_xla():
    lines = told("xla", TF_XLA_FLAGS="--tf_xla_cpu_global_jit").splitlines()
    assert any("Compiled cluster using XLA" in line for line in lines)
    differences = [float(line.split()[2]) for line in lines if line.startswith("DIFFERS")]
    assert len(differences) == 5
    assert max(differences) < 1e-4
