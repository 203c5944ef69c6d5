"""The evaluations that the tables are made of, shared by several processes; finished cells are found again."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from tf_ganmex.evaluation import EvaluationTable
from tf_ganmex.evaluation.options import Options
from tf_ganmex.evaluation.preparation import Evaluation, prepare
from tf_ganmex.evaluation.timing import Reporter
from tf_ganmex.processes import Report, share
from tf_ganmex.reproduce.problem import Problem, Setup, open_problem
from tf_ganmex.reproduce.published import BASELINES, METHOD_OPTIONS, METHODS

GRID = "grid"


def measured(
    problem: Problem,
    metrics: Sequence[str],
    *,
    baselines: Sequence[str] = BASELINES,
    methods: Sequence[str] = METHODS,
    limit: int | None = None,
    jobs: int | None = None,
    folder: str = GRID,
    relevant: Any = None,
) -> EvaluationTable:
    """An evaluation of the problem's models, computed where it is not on disk.

    Args:
        problem: what is explained.
        metrics: as of :func:`tf_ganmex.evaluate`, like ``baselines``, ``methods`` and ``relevant``.
        baselines: names.
        methods: names.
        limit: of test images; None: the setup's.
        jobs: processes; None: the setup's.
        folder: below the setup's ``keep``.
        relevant: where inverse localization looks.
    """
    asked = {"metrics": metrics, "baselines": baselines, "methods": methods, "folder": folder, "relevant": relevant}
    asked["limit"] = problem.setup.limit if limit is None else limit
    evaluation = _evaluation(problem, asked, 1)
    blocks = evaluation.unfinished()
    processes = max(1, min(problem.setup.jobs if jobs is None else jobs, len(blocks)))
    if processes == 1:
        evaluation.run(shown=bool(blocks))
        return evaluation.table()
    with Reporter(evaluation.amount(blocks), shown=True) as reporter:
        parts = [blocks[job::processes] for job in range(processes)]
        share(partial(_compute, problem.setup, asked, processes), parts, reporter)
    evaluation.run()  # reads what was computed
    return evaluation.table()


def _compute(setup: Setup, asked: dict[str, Any], processes: int, blocks: list[int], report: Report) -> None:
    """What each of several processes does."""
    _evaluation(open_problem(setup), asked, processes).compute(blocks, report)


def _evaluation(problem: Problem, asked: dict[str, Any], processes: int) -> Evaluation:
    setup = problem.setup
    options = Options(
        ganmex=problem.ganmex,
        method_options=METHOD_OPTIONS,
        steps=setup.steps,
        monotonicity_images=setup.monotonicity_images,
        monotonicity_draws=setup.monotonicity_draws,
        seed=setup.seed,
        **asked | {"folder": setup.keep / asked["folder"]},
    )
    return prepare(problem.clf, problem.data, options, processes=processes)
