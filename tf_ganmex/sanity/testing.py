"""The checks: maps of randomized classifiers, and maps of another class, beside the original ones."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tf_ganmex import attributions
from tf_ganmex.attributions.problem import (
    Baseline,
    Problem,
    asks_every_target,
    baseline_images,
    check_baseline,
    check_count,
    pose,
)
from tf_ganmex.classifier import Classifier
from tf_ganmex.errors import OptionError
from tf_ganmex.metrics.distances import assigned_to, baseline_distance
from tf_ganmex.sanity.adaptation import PerStage
from tf_ganmex.sanity.randomization import Stage, cascading_randomization
from tf_ganmex.sanity.result import ORIGINAL, Column, SanityCheck
from tf_ganmex.sanity.similarity import similarity

Method = Callable[..., np.ndarray]


def randomization_test(
    clf: Classifier,
    x: Any,
    origin: Any,
    target: Any,
    *,
    baselines: Mapping[str, Any],
    methods: Sequence[str] | Mapping[str, Method] = ("integrated_gradients",),
    columns: Sequence[Column] | None = None,
    stages: Iterable[Stage] | None = None,
    score: str = "probability",
    shown: int = 4,
) -> SanityCheck:
    """Whether maps change as the layers of the classifier are randomized: they should.

    The question stays that of the original classifier: origin and target are fixed, whatever a randomized classifier
    predicts.

    Args:
        clf: the classifier.
        x: images (n, h, w, c) in its value range.
        origin: class or classes (n,) to explain, as a rule the predicted ones.
        target: class or classes (n,) to compare with; None; or ``"average"``.
        baselines: by name, any baseline, the same at all stages; or a :class:`PerStage`, made anew for the classifier
            of each, such as :func:`ganmex_per_stage`. The stand-alone GAN of the ablation, whose class discriminator
            is its own, is a plain baseline: nothing about it follows the classifier.
        methods: names of functions of ``gx.attributions``; or functions that are called like them, by any name, such as
            ``{"IG": partial(gx.attributions.integrated_gradients, steps=50)}``.
        columns: pairs (method, baseline) to compare, baseline "" for a method without; None: every method with every
            baseline, expected gradients with random samples alone.
        stages: (name, classifier), as from :func:`cascading_randomization`, which is the default.
        score: ``"probability"`` or ``"logit"``. With probabilities, a randomized classifier that is sure of a class has
            maps near zero; similarities do not depend on the size of a map.
        shown: how many images to keep the maps of.

    Returns:
        The similarities of each stage's maps to the original ones, and of its baselines the share that its classifier
        calls the target, the distance to their images, and that to the original baselines.

    Raises:
        OptionError: for an unknown method or column, or no column at all.
        ImageError, LabelError, BaselineError, ModelError: for arguments that do not fit.

    Reference:
        Adebayo et al., "Sanity Checks for Saliency Maps", arXiv:1810.03292; Shih et al., "GANMEX", arXiv:2011.06015,
        section 4 and Figure 3.G.
    """
    problem = pose(clf, x, origin, target, score)
    shared = {name: made for name, made in baselines.items() if not isinstance(made, PerStage)}
    fixed = _baselines(problem, shared)
    stages = cascading_randomization(clf) if stages is None else stages

    def asked() -> Iterator[tuple[str, Problem, Any, dict[str, Baseline]]]:
        for name, classifier in itertools.chain([(ORIGINAL, clf)], stages):
            made = {key: baseline.make(classifier) for key, baseline in baselines.items() if key not in shared}
            yield name, replace(problem, clf=classifier), target, fixed | _baselines(problem, made)

    return _compare(asked(), _columns(methods, baselines, columns), shown)


def random_logit_test(
    clf: Classifier,
    x: Any,
    origin: Any,
    target: Any = None,
    *,
    baselines: Mapping[str, Any],
    methods: Sequence[str] | Mapping[str, Method] = ("integrated_gradients",),
    columns: Sequence[Column] | None = None,
    changed: str | None = None,
    score: str = "probability",
    seed: int = 0,
    shown: int = 4,
) -> SanityCheck:
    """Whether maps change when another class is explained: they should, for a map of anything else is not of the class.

    One-vs-all (``target=None``), the map of S_origin is compared with that of another, random class: the published
    check. One-vs-one, the score delta has two classes and the check has two forms.

    ``changed="target"``: "why origin and not target" against "why origin and not another". S_origin is in both, so
    some similarity is right: of two maps whose classes contribute alike and without relation, half. Near 1, the map
    is one of the origin alone, which is what a baseline without class gives: with probabilities, S_target is close to
    zero all along its path.

    ``changed="origin"``: "why origin and not target" against "why another and not target". S_target is in both.

    Exchanging origin and target would tell nothing: with the same baseline the map changes its sign alone.

    Args:
        clf: the classifier.
        x: images (n, h, w, c) in its value range.
        origin: class or classes (n,) to explain.
        target: class or classes (n,) to compare with; None for one-vs-all.
        baselines: as for :func:`randomization_test`; those that depend on the target follow it.
        methods: as there.
        columns: as there.
        changed: which class is another one, neither origin nor target: ``"target"`` (default where there is one) or
            ``"origin"``.
        score: ``"probability"`` or ``"logit"``.
        seed: of the draw of the other classes.
        shown: how many images to keep the maps of.

    Returns:
        The similarities, as those of the one stage ``"another target"`` or ``"another origin"``.

    Raises:
        OptionError: for another value of ``changed``, an unknown method or column, or too few classes.
        ImageError, LabelError, BaselineError: for arguments that do not fit.

    Reference:
        Sixt, Granz & Landgraf, "When Explanations Lie: Why Many Modified BP Attributions Fail", ICML 2020,
        arXiv:1912.09818, section 4 (random logit).
    """
    problem = pose(clf, x, origin, target, score)
    changed = changed or ("origin" if problem.target is None else "target")
    if changed not in ("origin", "target") or isinstance(target, str) or (changed == "target" and target is None):
        raise OptionError(
            "Expected changed='origin', or 'target' where there is a target class for each image. Received: "
            f"changed={changed!r}, target={target!r:.40}."
        )
    other = _another_class(problem, check_count(seed, "seed", 0))
    changes = {"origin": problem.origin, "target": problem.target, changed: other}
    second = pose(clf, problem.x, changes["origin"], changes["target"], score)
    made = {key: each.make(clf) if isinstance(each, PerStage) else each for key, each in baselines.items()}

    def asked() -> Iterator[tuple[str, Problem, Any, dict[str, Baseline]]]:
        for name, question in ((ORIGINAL, problem), (f"another {changed}", second)):
            yield name, question, question.target, _baselines(question, made)

    return _compare(asked(), _columns(methods, baselines, columns), shown)


def _compare(
    asked: Iterable[tuple[str, Problem, Any, dict[str, Baseline]]], columns: dict[Column, Method], shown: int
) -> SanityCheck:
    """Makes the maps of every question; compares them with those of the first."""
    originals: dict[Column, np.ndarray] = {}
    first_baselines: dict[str, np.ndarray] = {}
    names, similarities, of_baselines, maps, images = [], {}, {}, {}, {}
    for name, problem, target, made in asked:
        for baseline in dict.fromkeys(baseline for _, baseline in columns if baseline):
            if not callable(made[baseline]):
                pictures = np.broadcast_to(made[baseline], (len(problem), *made[baseline].shape[1:]))
                images[name, baseline] = pictures[:shown].mean(1)
                if pictures.shape[1] == 1:
                    first = first_baselines.setdefault(baseline, pictures[:, 0])
                    of_baselines[name, baseline] = _measured(problem, pictures[:, 0], first)
        for column, method in columns.items():
            given = (made[column[1]],) if column[1] else ()
            found = method(problem.clf, problem.x, problem.origin, target, *given, score=problem.score)
            maps[name, *column] = found[:shown].copy()
            if name == ORIGINAL:
                originals[column] = found
            else:
                similarities[name, *column] = similarity(originals[column], found)
        names.append(name)
    return SanityCheck(
        stages=tuple(names[1:]),
        columns=tuple(columns),
        similarities=similarities,
        of_baselines=of_baselines,
        x=problem.x[:shown],
        maps=maps,
        images=images,
        value_range=problem.clf.value_range,
    )


def _measured(problem: Problem, pictures: np.ndarray, first: np.ndarray) -> dict[str, np.ndarray]:
    """What is measured on the baselines (n, h, w, c) of a question, those of the first question being ``first``."""
    measured = {} if problem.target is None else {"assigned": assigned_to(problem.clf, pictures, problem.target)}
    return measured | {
        "distance": baseline_distance(problem.x, pictures),
        "moved": baseline_distance(first, pictures),
    }


def _baselines(problem: Problem, given: Mapping[str, Any]) -> dict[str, Baseline]:
    """Baselines as images, made once for all methods; as callables where each target or each draw needs its own."""
    made = {}
    for name, baseline in given.items():
        checked = check_baseline(problem, baseline)
        as_it_is = not callable(checked) or _draws(checked) or asks_every_target(problem, checked)
        made[name] = checked if as_it_is else baseline_images(problem, checked, slice(None))
    return made


def _draws(baseline: Any) -> bool:
    return hasattr(baseline, "draw")


def _columns(
    methods: Sequence[str] | Mapping[str, Method], baselines: Mapping[str, Any], wanted: Sequence[Column] | None
) -> dict[Column, Method]:
    functions = dict(methods) if isinstance(methods, Mapping) else {name: _named(name) for name in methods}
    possible: dict[Column, Method] = {}
    for name, function in functions.items():
        if not _takes_baseline(function):
            possible[name, ""] = function
            continue
        samples = getattr(function, "func", function) is attributions.expected_gradients  # or a partial of it
        possible |= {(name, key): function for key, each in baselines.items() if _draws(each) or not samples}
    if wanted is None:
        chosen = possible
    else:
        unknown = [tuple(column) for column in wanted if tuple(column) not in possible]
        if unknown:
            raise OptionError(f"Expected columns among {list(possible)}. Received: {unknown[0]}.")
        chosen = {(method, baseline): possible[method, baseline] for method, baseline in wanted}
    if not chosen:
        raise OptionError(
            "Expected a method with a baseline that it can use. Received: "
            f"methods={list(functions)}, baselines={list(baselines)}. Expected gradients needs "
            "gx.baselines.random_sample."
        )
    return chosen


def _takes_baseline(function: Method) -> bool:
    """Whether a method takes anything without a name after classifier, images, origin and target."""
    parameters = inspect.signature(function).parameters.values()
    positional = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    return len(positional) > 4 or any(each.kind is each.VAR_POSITIONAL for each in parameters)


def _named(name: str) -> Method:
    if name not in attributions.__all__:
        raise OptionError(f"Expected methods among {attributions.__all__}. Received: {name!r}. Or pass functions.")
    return getattr(attributions, name)


def _another_class(problem: Problem, seed: int) -> np.ndarray:
    """For each image a random class that is neither origin nor target."""
    classes, count = problem.clf.num_classes, len(problem)
    free = np.ones((count, classes), bool)
    for labels in (problem.origin, problem.target):
        if labels is not None:
            free[np.arange(count), labels] = False
    if not free.any(1).all():
        raise OptionError(
            f"Expected a classifier with another class beside origin and target. Received: {classes} classes. "
            "Of two classes there is one question only."
        )
    order = np.random.default_rng(seed).random((count, classes))
    return np.where(free, order, -1).argmax(1)
