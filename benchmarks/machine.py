"""Facts about the machine, and the rates that it reaches: float32 products, and copies in memory."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

PACKAGES = (
    "tensorflow", "keras", "numpy", "torch", "captum", "xplique", "saliency", "shap", "faiss-cpu", "tensorflow-gan",
)  # fmt: skip
SIDE = 2048  # of the matrices
COPIED = 2**27  # bytes, far more than caches hold
TRIES = 5


@dataclass(frozen=True)
class Machine:
    """Cores, operations a second of a product by the faster of NumPy and TensorFlow, bytes a second of a copy."""

    cores: int
    operations: float
    bandwidth: float


def measure(cores: int) -> Machine:
    """The rates of this machine, the best of several tries."""
    import tensorflow as tf

    matrix = np.random.default_rng(0).normal(size=(SIDE, SIDE)).astype(np.float32)
    tensor = tf.constant(matrix)
    product = tf.function(lambda a: tf.reduce_sum(a @ a))
    fastest = min(_best(lambda: matrix @ matrix), _best(lambda: product(tensor).numpy()))
    return Machine(cores, 2 * SIDE**3 / fastest, _copy_rate(cores))


def facts() -> dict[str, Any]:
    """What a reader has to know to compare."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return {"processor": processor(), "system": platform.platform(terse=True), "python": platform.python_version()} | {
        "versions": versions
    }


def processor() -> str:
    """The name of the processor, and what it has for products."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return platform.processor()
    lines = dict(line.split(":", 1) for line in path.read_text().split("\n\n")[0].splitlines() if ":" in line)
    lines = {key.strip(): value.strip() for key, value in lines.items()}
    known = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_tile") if name in lines.get("flags", "").split()]
    return f"{lines.get('model name', platform.processor())} ({', '.join(known)})"


def load() -> float:
    """How many processes wanted a core during the last minute; 0 where it is not known."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def as_dict(machine: Machine) -> dict[str, Any]:
    """For JSON."""
    return asdict(machine)


def _best(call: Callable[[], Any]) -> float:
    call()
    seconds = []
    for _ in range(TRIES):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def _copy_rate(cores: int) -> float:
    """Bytes read and written a second by all cores."""
    source = np.ones(COPIED // 8)
    parts = list(zip(np.array_split(source, cores), np.array_split(np.empty_like(source), cores), strict=True))
    with ThreadPoolExecutor(cores) as pool:
        return 2 * COPIED / _best(lambda: list(pool.map(lambda part: np.copyto(part[1], part[0]), parts)))
