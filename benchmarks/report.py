"""The page and the JSON: every figure in the page is computed from what was measured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tf_ganmex.files import write_text

HEAD = """# Speed and memory, beside the peers

`make bench` runs everything in an environment of its own and writes this page; `python -m benchmarks --help` names
parts. All contenders of a table get the same weights and images, each in a process of its own, and are called in turns
(ours, peer, peer, ours, ...). *Cold* is the first call in a process that has imported and loaded what it needs; *warm*
the median of the others, with quartiles; *memory* the peak of the process over what it held before the first call.
*Times as fast* is the peer's time over ours in the same round, the median with quartiles. *Differs* is the largest
difference from ours, as a share of the largest value of the image's map where nothing else is said. The *floor* is what
the plain computation needs on this machine: its operations (a multiply-add is two) over the measured rate of a float32
matrix product, or its bytes over the measured bandwidth, whichever is longer. Ours can be faster where it computes the
same with fewer operations.

Peers run at their best settings: numbers of images at a time, layouts and threads are tried in a short scan before.
Weights of the PyTorch networks need no gradients, norms right behind convolutions are folded into them, and what needs
no gradient runs in inference mode. Xplique 2.0.2 asks for TensorFlow 2.20 or older, and older SciPy, scikit-image and
scikit-learn; it runs with those of this lock, so its limits are set aside (pip alone would take Xplique 1.3.3).
"""


def load_results(path: Path) -> dict[str, Any]:
    """What earlier runs found, or nothing."""
    if path.exists():
        return json.loads(path.read_text())
    return {"runs": {}, "cases": {}, "outputs": {}, "growth": None}


def save(results: dict[str, Any], out: Path, order: Sequence[str]) -> None:
    """Writes OUT.json and OUT.md."""
    write_text(out.with_suffix(".json"), json.dumps(results, indent=1, sort_keys=True) + "\n")
    write_text(out.with_suffix(".md"), page(results, order))


def page(results: dict[str, Any], order: Sequence[str]) -> str:
    """The page."""
    found = [results["cases"][key] for key in order if key in results["cases"]]
    cases = [case | {"ratio": overall(case)} for case in found]
    parts = [HEAD, summary(cases), _outputs(results["outputs"])]
    parts += [page_of_case(case) for case in cases]
    if results.get("growth"):
        parts.append(_growth(results["growth"]))
    parts.append(_machines(results["runs"]))
    return "\n".join(part for part in parts if part)


def overall(case: dict) -> dict | None:
    """How many times as fast ours was as the peer, of those that count, to which it was nearest; is that the target?"""
    running = [each for each in case["contenders"][1:] if each["counts"] and each["ratio"]]
    if not running:
        return None
    peer = min(running, key=lambda each: each["ratio"]["median"])
    target = case["target"]
    met = None if target is None else peer["ratio"]["median"] >= target
    return peer["ratio"] | {"peer": peer["name"], "met": met}


def summary(cases: Sequence[dict]) -> str:
    """Targets, and whether they are met."""
    lines = ["## Targets\n", "| | times as fast | as | target | | load |", "| --- | --- | --- | --- | --- | --- |"]
    for case in cases:
        ratio, published = case["ratio"], case["published"]
        load = f"{case['load'][0]:.1f}"
        if ratio:
            goal = f"≥ {case['target']:g}" if case["target"] is not None else "none"
            found = f"{ratio['median']:.3g} | {ratio['peer']}"
            lines.append(f"| {case['title']} | {found} | {goal} | {verdict(ratio['met'])} | {load} |")
        if published:
            lines.append(
                f"| {case['title']} | {published['ratio']:.3g} | the paper's {published['seconds']:g} s | "
                f"≥ {published['target']:g} | {verdict(published['met'])} | {load} |"
            )
    if any(case["quick"] for case in cases):
        lines.append("\nCases of a `--quick` run are small and without a scan for the best settings: no comparison.")
    lines.append("\nLoad: how many processes wanted a core during the minute before.\n")
    return "\n".join(lines)


def verdict(met: bool | None) -> str:
    """In words."""
    return "" if met is None else "met" if met else "**not met**"


def _outputs(outputs: dict[str, float]) -> str:
    if not outputs:
        return ""
    found = ", ".join(f"{name} {value:.1e}" for name, value in sorted(outputs.items()))
    return f"The probabilities of the networks in PyTorch differ from those in Keras by at most: {found}.\n"


def page_of_case(case: dict) -> str:
    """Its table."""
    scale = 1 / case["units"]
    lines = [
        f"## {case['title']}\n",
        f"| | cold | warm, an {case['unit']} | quartiles | times as fast | memory | differs | settings |"
        if case["unit"] == "image"
        else f"| | cold | warm, a {case['unit']} | quartiles | times as fast | memory | differs | settings |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [_row(each, scale) for each in case["contenders"]]
    lines.append(_floor_row(case))
    notes = [f"{each['name']}: {each['note']}." for each in case["contenders"] if each["note"]]
    failed = [f"{each['name']} could not run: `{each['error']}`." for each in case["contenders"] if each["error"]]
    what = f"{case['units']} {case['unit']}s a call" if case["units"] > 1 else f"one {case['unit']} a call"
    rounds = max((each["spread"]["rounds"] for each in case["contenders"] if each["spread"]), default=0)
    told = f"{what}, {rounds} warm rounds, {case['when']}, load {case['load'][0]:.1f} to {case['load'][1]:.1f}."
    return "\n".join([*lines, "", " ".join([told[0].upper() + told[1:], *notes, *case["notes"], *failed]), ""])


def _row(each: dict, scale: float) -> str:
    if not each["spread"]:
        return f"| {each['name']} | could not run | | | | | | |"
    warm = each["spread"]
    quartiles = f"{duration(warm['low'] * scale)} – {duration(warm['high'] * scale)}"
    ratio = each["ratio"]
    faster = f"{ratio['median']:.3g} ({ratio['low']:.3g} – {ratio['high']:.3g})" if ratio else "1"
    mark = " **too far**" if each["equal"] is False else ""
    differs = "" if each["differs"] is None else f"{each['differs']:.1e}{mark}"
    settings = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in each["setup"].items())
    used = "" if each["memory"] is None else f"{each['memory'] / 2**20:.0f} MB"
    return (
        f"| {each['name']} | {duration(each['cold'])} | {duration(warm['median'] * scale)} | {quartiles} | {faster} "
        f"| {used} | {differs} | {settings} |"
    )


def _floor_row(case: dict) -> str:
    floor = case["floor"]
    if not floor:
        return "| floor | | not counted | | | | | |"
    ours = case["contenders"][0]["spread"]["median"] / case["units"]
    by = f"{floor['operations'] / 1e9:.3g} G operations {duration(floor['by_operations'])}"
    by += f", {floor['bytes'] / 1e6:.3g} MB {duration(floor['by_bytes'])}"
    return f"| floor | | {duration(floor['seconds'])} | | {floor['seconds'] / ours:.3g} | | | {by} |"


def _growth(growth: dict) -> str:
    lines = [
        "## Growth\n",
        f"![Time against size]({growth['figure']})\n",
        "| | sizes | exponent |",
        "| --- | --- | --- |",
    ]
    lines += [
        f"| {each['title']} | {each['sizes'][0]:g} – {each['sizes'][-1]:g} | {each['exponent']:.2f} |"
        for each in growth["lines"]
    ]
    lines.append(
        "\nThe exponent is the slope of log time over log size in the upper half of the sizes; 1 is a straight line. "
        + " ".join(growth["notes"])
        + (" A `--quick` run: few sizes, and no more than a sketch." if growth.get("quick") else "")
        + "\n"
    )
    return "\n".join(lines)


def _machines(runs: dict[str, dict]) -> str:
    lines = ["## Machine\n"]
    for name, run in sorted(runs.items()):
        versions = ", ".join(f"{package} {version}" for package, version in run["versions"].items())
        lines.append(
            f"- {name}: {run['processor']}, {run['cores']} cores, float32 product {run['operations'] / 1e9:.0f} G "
            f"operations/s, copy {run['bandwidth'] / 1e9:.1f} GB/s; {run['system']}, Python {run['python']}; "
            f"{versions}."
        )
    return "\n".join(lines) + "\n"


def duration(seconds: float) -> str:
    """With a unit, three digits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.2g} µs"
