"""Ours beside its peers in speed and memory.

Example: python -m benchmarks --only ig-mnist deeplift --mnist mnist.npz
"""

from __future__ import annotations

import argparse
import datetime
import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.case import Case

ROUNDS, QUICK_ROUNDS = 7, 2


def cases() -> dict[str, Case]:
    """All cases by their keys."""
    from benchmarks.cases import attributions, metrics, searching, training

    found = (*attributions.CASES, *searching.CASES, *training.CASES, *metrics.CASES)
    return {case.key: case for case in found}


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line, runs, and writes the page after each case."""
    options = _options(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from benchmarks import growth, report, running
    from benchmarks.machine import facts

    results = report.load_results(options.out.with_suffix(".json"))
    known, data = cases(), options.mnist and options.mnist.resolve()
    with tempfile.TemporaryDirectory() as folder:
        machine = running.measure_machine()
        name = datetime.datetime.now().isoformat(timespec="seconds")
        results["runs"][name] = facts() | vars(machine)
        for key in [] if options.growth_only else options.only or known:
            print(f"{key} ...", flush=True)
            settings = {"folder": Path(folder), "data": data, "rounds": options.rounds, "quick": options.quick}
            case = known[key] if not options.contenders else _only(known[key], options.contenders)
            done = running.run_case(case, machine, **settings)
            results["cases"][key] = done | {"run": name}
            network = case.task.network
            if network not in results["outputs"] and key.startswith(("ig", "occlusion")):
                results["outputs"][network] = running.torch_outputs(Path(folder), network)
            _finish(results, options.out, known)
            print(report.page_of_case(done), flush=True)
        if options.growth or options.growth_only:
            results["growth"] = growth.run(Path(folder), data, options.out, quick=options.quick)
            _finish(results, options.out, known)


def _finish(results: dict[str, Any], out: Path, known: dict[str, Case]) -> None:
    from benchmarks import report

    used = {case["run"] for case in results["cases"].values()} | {(results["growth"] or {}).get("run")}
    kept = {name: run for name, run in results["runs"].items() if name in used}
    report.save(results | {"runs": kept}, out, list(known))


def _only(case: Case, names: Sequence[str]) -> Case:
    """The case with ours and some of its peers."""
    ours, *others = case.contenders
    return replace(case, contenders=(ours, *(each for each in others if any(name in each.name for name in names))))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    description, example = (__doc__ or "").strip().split("\n\n")
    parser = argparse.ArgumentParser("python -m benchmarks", description=description, epilog=example)
    known = list(cases())
    parser.add_argument("--only", nargs="+", choices=known, metavar="NAME", help=f"some cases: {', '.join(known)}")
    parser.add_argument("--contenders", nargs="+", metavar="NAME", help="ours, and peers whose names hold one of these")
    parser.add_argument(
        "--quick", action="store_true", help="small tasks, no scan of settings: to see whether it works"
    )
    parser.add_argument("--rounds", type=int, help=f"warm rounds (default: {ROUNDS}, with --quick {QUICK_ROUNDS})")
    parser.add_argument(
        "--mnist", type=Path, metavar="FILE", help="mnist.npz (default: scikit-learn's digits, scaled up)"
    )
    parser.add_argument("--growth", action="store_true", help="also time against images, steps, classes and size")
    parser.add_argument("--growth-only", action="store_true", help="only that")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("docs/benchmarks"),
        help="OUT.md and OUT.json; cases not run are kept (%(default)s)",
    )
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    return options


if __name__ == "__main__":
    main()
