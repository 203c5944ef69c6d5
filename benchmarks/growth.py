"""How time grows with the number of images, steps and classes, and with the size of images."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import networks
from benchmarks.case import Run, Task
from benchmarks.machine import load

LEAST, MOST = 0.2, 5  # seconds of repeating a short call, and how often at most
NOTES = (
    "Images and steps: a call takes some milliseconds before the first one, and few do not fill the cores; from 40 "
    "steps on IG takes another way through the second layer. Occlusion of many images has matrices for its patches, "
    "which few images do not pay for.",
    "Classes: the last layer and the softmax alone grow with them, so the line bends from flat upwards.",
    "Pixels, the square of the side: three unpadded convolutions of stride 2 leave less of small images, so that "
    "operations grow faster than pixels until the border no longer counts.",
)


@dataclass(frozen=True)
class Line:
    """A line of the plot: a function of a size, called at each of ``sizes``; ``quick`` of them at a quick look."""

    title: str
    axis: str
    sizes: tuple[int, ...]
    quick: int
    prepare: Callable[[Task, int], Run]


def run(folder: Path, data: Path | None, out: Path, *, quick: bool) -> dict[str, Any]:
    """Times every line, draws OUT-growth.png, and returns what the page tells."""
    from benchmarks.running import in_process

    task = Task("mnist", 1, folder=folder, data=data)
    in_process(_prepared, task)
    began, lines = load(), []
    for index, line in enumerate(LINES):
        print(f"growth: {line.title} ...", flush=True)
        sizes = line.sizes[: line.quick] if quick else line.sizes
        seconds = in_process(_Times(index, len(sizes)), task).tolist()
        exponent = fitted_exponent(sizes, seconds)
        lines.append({"title": line.title, "axis": line.axis, "sizes": sizes, "seconds": seconds, "exponent": exponent})
    figure = out.with_name(f"{out.name}-growth.png")
    draw(lines, figure)
    return {
        "lines": lines,
        "figure": figure.name,
        "notes": list(NOTES),
        "when": datetime.datetime.now().isoformat(timespec="seconds"),
        "load": [round(began, 2), round(load(), 2)],
        "quick": quick,
    }


def fitted_exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """The slope of log time over log size in the upper half of the sizes (three or more of them)."""
    upper = slice(min(len(sizes) // 2, max(0, len(sizes) - 3)), None)
    return float(np.polyfit(np.log(sizes[upper]), np.log(seconds[upper]), 1)[0])


def draw(lines: Sequence[dict], path: Path) -> None:
    """A panel for each kind of size, with logarithmic axes; a straight line of slope 1 is dashed."""
    from matplotlib.figure import Figure

    from tf_ganmex.plotting import save_figure

    axes_of = list(dict.fromkeys(line["axis"] for line in lines))
    figure = Figure(figsize=(3.2 * len(axes_of), 3.4), layout="constrained")
    for panel, axis in zip(figure.subplots(1, len(axes_of), squeeze=False)[0], axes_of, strict=True):
        for line in (line for line in lines if line["axis"] == axis):
            name = line["title"].split(",")[0]
            panel.loglog(line["sizes"], line["seconds"], "o-", markersize=3, label=f"{name}: {line['exponent']:.2f}")
        sizes, seconds = np.array(line["sizes"], float), line["seconds"]
        panel.loglog(sizes, seconds[-1] * sizes / sizes[-1], "--", color="grey", linewidth=0.8)
        panel.set_xlabel(axis)
        panel.legend(frameon=False, fontsize=8)
        panel.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("seconds")
    save_figure(figure, path, dpi=110)


class _Times:
    """The times of a line, as something that a process can make."""

    def __init__(self, line: int, sizes: int):
        self.line, self.sizes = line, sizes

    def __call__(self, task: Task) -> Run:
        line = LINES[self.line]
        return lambda: np.array([_time(line.prepare(task, size)) for size in line.sizes[: self.sizes]])


def _time(call: Run) -> float:
    """The median of some warm calls."""
    call()
    seconds: list[float] = []
    while len(seconds) < MOST and sum(seconds) < LEAST:
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


def _prepared(task: Task) -> Run:
    def prepare() -> np.ndarray:
        networks.prepare(task.network, task.folder, task.data, task.seed)
        return np.zeros(1)

    return prepare


def _on_mnist(method: str) -> Callable[[Task, int], Run]:
    def prepare(task: Task, count: int) -> Run:
        import tf_ganmex as gx

        clf = gx.load_classifier(task.folder / "mnist.keras")
        p = networks.problem(replace(task, count=networks.IMAGES))
        x, baseline, origin, target = (np.resize(a, (count, *a.shape[1:])) for a in p[:4])
        options: dict[str, Any] = {"steps": 20} if method == "integrated_gradients" else {}
        return lambda: getattr(gx.attributions, method)(clf, x, origin, target, baseline, **options)

    return prepare


def _steps(task: Task, steps: int) -> Run:
    import tf_ganmex as gx

    clf, p = gx.load_classifier(task.folder / "mnist.keras"), networks.problem(replace(task, count=8))
    return lambda: gx.attributions.integrated_gradients(clf, p.x, p.origin, p.target, p.baseline, steps=steps)


def _classes(task: Task, classes: int) -> Run:
    from tf_ganmex import zoo

    return _small(zoo.mnist_classifier((28, 28, 1), classes), 8)


def _sides(task: Task, pixels: int) -> Run:
    from tf_ganmex import zoo

    side = round(pixels**0.5)
    return _small(zoo.svhn_classifier((side, side, 3), 10), 1)


def _small(model: Any, count: int) -> Run:
    import tf_ganmex as gx

    clf = gx.load_classifier(model)
    x = networks.clouds(count + 1, model.input_shape[1:], 0)
    return lambda: gx.attributions.integrated_gradients(clf, x[:-1], 0, 1, x[1:], steps=100)


IMAGES = (1, 3, 10, 30, 100, 300, 1000, 3000, 10_000)
LINES = (
    Line("IG, 20 steps, against images", "images", IMAGES, 4, _on_mnist("integrated_gradients")),
    Line("Occlusion, against images", "images", IMAGES[:7], 3, _on_mnist("occlusion")),
    Line("DeepLIFT, against images", "images", IMAGES, 4, _on_mnist("deeplift")),
    Line("IG, 8 images, against steps", "steps", (5, 10, 20, 50, 100, 200, 500, 1000, 2000), 4, _steps),
    Line("IG, 100 steps and 8 images, against classes", "classes", (2, 10, 30, 100, 300, 1000, 3000), 3, _classes),
    Line(
        "IG, 100 steps and one image, against pixels",
        "pixels",
        tuple(side**2 for side in (28, 40, 56, 80, 112, 160, 224)),
        3,
        _sides,
    ),
)
