"""Cascading randomization with GANMEX trained on at every stage, and the stand-alone GAN that does not follow.

The paper's figure 3.G and its ablation of the classifier, with numbers, in both forms of the randomization, and the
random-logit check.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tf_ganmex import attributions, baselines, plotting, sanity
from tf_ganmex.draws import other_classes
from tf_ganmex.evaluation.sources import digest
from tf_ganmex.gan import GANMEX
from tf_ganmex.reproduce.kept_checks import KeptCheck, kept_check
from tf_ganmex.reproduce.problem import Problem
from tf_ganmex.reproduce.randomization_claims import ALONE, EG, FIXED, FOLLOWING, METHODS, SAMPLES
from tf_ganmex.reproduce.randomization_page import MODES, SHOWN, Findings, write_page
from tf_ganmex.reproduce.trained import Spent, Told, kept_folder, many_generators, say, stand_alone
from tf_ganmex.sanity.randomization import Stage
from tf_ganmex.training import in_value_range

_MOST_IMAGES, _DRAWN = 100, 2
_MOST_STAGES = 6  # of a deeper network, every so many layers


@dataclass(frozen=True, eq=False)
class _Asked:
    """The questions: images that the classifier gets right, each against a random other class."""

    x: np.ndarray
    origin: np.ndarray
    target: np.ndarray


@many_generators()
def randomization(problem: Problem, folder: Path) -> list[Path]:
    """Both randomizations and the random-logit check: randomization.md, .csv and pictures."""
    setup, asked = problem.setup, _ask(problem)
    alone, seconds_alone = stand_alone(problem, setup.stand_alone_steps)
    following, spent = _following(problem)
    plain = _plain(problem, alone)
    methods = _methods(problem)
    key = digest(
        *(problem.clf.fingerprint, problem.data.x_train, asked.x, asked.origin, asked.target, setup.seed, setup.steps),
        *(setup.stage_steps, setup.stand_alone_steps, problem.ganmex.options),
        *problem.ganmex.generator.get_weights(),
    )

    def make(mode: str) -> tuple[sanity.SanityCheck, float]:
        before = sum(spent.seconds.values())
        check = sanity.randomization_test(
            problem.clf, asked.x, asked.origin, asked.target, methods=methods, columns=_columns(FIXED, FOLLOWING),
            baselines=plain | {FIXED: problem.ganmex.generate, FOLLOWING: following},
            stages=_told(problem, mode), shown=_DRAWN,
        )  # fmt: skip
        return check, sum(spent.seconds.values()) - before

    checks = {mode: kept_check(setup.keep / "randomization", mode, key, partial(make, mode)) for mode in MODES}
    logit = None
    if problem.clf.num_classes > 2:
        say("random-logit check")
        logit = kept_check(
            setup.keep / "randomization", "random_logit", key,
            lambda: (_logit(problem, asked, methods, plain | {FOLLOWING: problem.ganmex.generate}), 0.0),
        )  # fmt: skip
    findings = Findings(
        problem=problem,
        images=len(asked.x),
        checks=checks,
        logit=logit,
        weights={
            (mode, name): sanity.stage_weight(problem.ganmex, clf, problem.data)
            for mode in MODES
            for name, clf in _stages(problem, mode)
        },
        seconds_alone=seconds_alone,
        seconds_stages=sum(spent.seconds.values()),
    )
    return [*write_page(findings, folder), *_draw(checks, folder)]


def _ask(problem: Problem) -> _Asked:
    clf, data, setup = problem.clf, problem.data, problem.setup
    x, y = in_value_range(data.x_test, clf.value_range), data.y_test
    right = np.flatnonzero(clf.predict(x) == y)[: min(setup.limit or _MOST_IMAGES, _MOST_IMAGES)]
    return _Asked(x[right], y[right], other_classes(y, clf.num_classes, setup.seed)[right])


def _methods(problem: Problem) -> dict[str, Callable[..., np.ndarray]]:
    steps, seed = problem.setup.steps, problem.setup.seed
    return {
        "IG": partial(attributions.integrated_gradients, steps=steps),
        "DeepLIFT": attributions.deeplift,
        "Occlusion": attributions.occlusion,
        EG: partial(attributions.expected_gradients, steps=steps, seed=seed),
    }


def _plain(problem: Problem, alone: GANMEX) -> dict[str, Any]:
    """The baselines that are the same at all stages, but for GANMEX's own."""
    clf, data = problem.clf, problem.data
    x_train = in_value_range(data.x_train, clf.value_range)
    return {
        "zero": baselines.zero().in_value_range(clf.value_range),
        "MDTS": baselines.nearest(x_train, data.y_train),
        ALONE: alone.generate,
        SAMPLES: baselines.random_sample(x_train, data.y_train, seed=problem.setup.seed),
    }


def _columns(*ganmex: str) -> list[tuple[str, str]]:
    names = ("zero", "MDTS", *ganmex, ALONE)
    return [*((method, name) for method in METHODS for name in names), (EG, SAMPLES)]


def _following(problem: Problem) -> tuple[sanity.PerStage, Spent]:
    """GANMEX baselines that are made anew for the classifier of each stage, and what their training takes."""
    gan, setup = problem.ganmex, problem.setup
    folder = kept_folder(problem, "randomized", gan.options, *gan.generator.get_weights(), setup.stage_steps)
    spent = Spent(folder / "seconds.json")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="This GANMEX was saved without its discriminator")  # the page says so
        per_stage = sanity.ganmex_per_stage(
            gan, problem.data, folder=folder, steps=setup.stage_steps, seed=setup.seed, callbacks=[Told(spent)]
        )
    return per_stage, spent


def _stages(problem: Problem, mode: str) -> list[Stage]:
    """The stages of the cascade; of a deep network, a few of them, the last one always."""
    stages = list(sanity.cascading_randomization(problem.clf, mode=mode, seed=problem.setup.seed))
    every = -(-len(stages) // _MOST_STAGES)
    return stages[::-1][::every][::-1]


def _told(problem: Problem, mode: str) -> Iterator[Stage]:
    for name, clf in _stages(problem, mode):
        say(f"{MODES[mode]}, down to {name}: GANMEX, {problem.setup.stage_steps} steps, then maps")
        yield name, clf


def _logit(
    problem: Problem, asked: _Asked, methods: dict[str, Callable[..., np.ndarray]], given: dict[str, Any]
) -> sanity.SanityCheck:
    return sanity.random_logit_test(
        problem.clf,
        asked.x,
        asked.origin,
        asked.target,
        methods=methods,
        columns=_columns(FOLLOWING),
        baselines=given,
        seed=problem.setup.seed,
        shown=_DRAWN,
    )


def _draw(checks: dict[str, KeptCheck], folder: Path) -> list[Path]:
    paths = []
    for mode, kept in checks.items():
        drawn = kept.check.plot_curves(title=f"{MODES[mode]}: similarity to the original maps")
        paths.append(plotting.save_figure(drawn, folder / f"randomization_{mode}_curves.png", dpi=100))
        maps = kept.check.plot_maps(0, columns=SHOWN)
        paths.append(plotting.save_figure(maps, folder / f"randomization_{mode}.png", dpi=100))
    return paths
