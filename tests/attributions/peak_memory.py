"""Prints the most memory, in MB above the model's own, that maps of 224 × 224 images take: METHOD IMAGES OPTIONS."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

import tf_ganmex as gx
from tf_ganmex import attributions, zoo

SIDE = 224


def memory(line: str) -> float:
    """VmRSS (now) or VmHWM (the most since it was reset) of this process in MB."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split(f"{line}:")[1].split()[0]) / 1024


def main(method: str, images: str, options: str) -> None:
    clf = gx.load_classifier(zoo.mobilenet_classifier((SIDE, SIDE, 3), 2))
    x = np.random.default_rng(0).random((int(images), SIDE, SIDE, 3), np.float32)
    clf.predict(x[:1])
    baseline = x[:4] if method == "expected_gradients" else np.zeros((SIDE, SIDE, 3), np.float32)
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak starts again from here
    before = memory("VmRSS")
    getattr(attributions, method)(clf, x, 0, 1, baseline, **json.loads(options))
    print(memory("VmHWM") - before)


if __name__ == "__main__":
    main(*sys.argv[1:])
