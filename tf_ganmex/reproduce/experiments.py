"""The figures of the GANMEX paper about images that are classified wrong and about other weights of the losses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tf_ganmex import plotting
from tf_ganmex.files import write_text
from tf_ganmex.metrics import bootstrap_interval
from tf_ganmex.misclassification import explain_misclassified, plot_misclassified
from tf_ganmex.reproduce.claims import FAILS, HOLDS, UNDECIDED
from tf_ganmex.reproduce.problem import Problem, setup_notes
from tf_ganmex.reproduce.trained import Spent, Told, checkpoint_steps, kept_folder, many_generators, options_of, say
from tf_ganmex.training import Recipe, in_value_range
from tf_ganmex.training.scan import WEIGHTS, Trial, plot_scan, scan_table, scan_weights, scanned_images, write_scan

# Similarity as in appendix D, whose figure gives no values for the others.
SCANNED = {
    "classification": (1.0, 5.0, 20.0, 100.0),
    "similarity": (0.0, 5.0, 10.0, 20.0, 50.0, 100.0),
    "reconstruction": (0.0, 10.0, 100.0),
}
_SCAN_IMAGES, _MISCLASSIFIED = 1000, 8  # images at most


def misclassified(problem: Problem, folder: Path) -> list[Path]:
    """Why the wrong class and not the right one: the paper's figure 2.B."""
    clf, data = problem.clf, problem.data
    found = explain_misclassified(
        clf,
        in_value_range(data.x_test, clf.value_range),
        data.y_test,
        baseline=problem.ganmex.generate,
        options={"integrated_gradients": {"steps": problem.setup.steps}},
        limit=_MISCLASSIFIED,
    )
    title = "Why the wrong class and not the right one: images, baselines of the right class, maps"
    return [plotting.save_figure(plot_misclassified(found, title=title), folder / "misclassified.png", dpi=100)]


@many_generators()
def scan(problem: Problem, folder: Path) -> list[Path]:
    """Generators over the weights of Eq. 9, the others as in the GANMEX at hand: the paper's figure 8."""
    clf, data, setup = problem.clf, problem.data, problem.setup
    limit = min(setup.limit or _SCAN_IMAGES, _SCAN_IMAGES)
    options = options_of(problem)
    base = {name: float(options.pop(f"{name}_weight")) for name in WEIGHTS}
    kept = kept_folder(problem, "scan", clf.fingerprint, sorted(options.items()), setup.scan_steps)
    spent = Spent(kept / "seconds.json")
    say(f"scan, {setup.scan_steps} steps each, kept in {kept}")
    trials = []
    for trial in scan_weights(
        clf,
        data,
        kept,
        SCANNED,
        base=base,
        recipe=Recipe(steps=setup.scan_steps),
        limit=limit,
        every=checkpoint_steps(setup.scan_steps),
        seed=setup.seed,
        verbose=0,
        callbacks=[Told(spent)],
        **options,
    ):
        say(f"{trial.weight} {trial.value:g}: {trial.share:.1%} made the target, distance {trial.distance:.2f}")
        trials.append(trial)
    x, target = scanned_images(clf, data, limit, setup.seed)
    shown = len(trials[0].baselines)
    names = [clf.class_names[label] for label in data.y_test[:shown]]
    titles = [f"{name} → {clf.class_names[t]}" for name, t in zip(names, target, strict=False)]
    figure = plot_scan(x[:shown], titles, trials, value_range=clf.value_range)
    heading = (
        f"# Weights of the losses\n\n`{setup.command}`: {len(x)} test images of {data.name}, each against a random "
        f"other class; {setup.scan_steps:,} steps each from the same new weights, seed {setup.seed}; where not varied: "
        f"{', '.join(f'{name} {value:g}' for name, value in base.items())}."
    )
    notes = [
        f"Processor time of all trainings: {sum(spent.seconds.values()):.0f} s.",
        "Each generator is trained once, and for few steps: small differences may be of the training.",
        *setup_notes(problem),
    ]
    parts = [
        f"{heading}\n\n![Baselines by weight](scan.png)\n\n{scan_table(trials).strip()}",
        "## Claims of the text\n\n" + "\n".join(f"- {line}" for line in scan_claims(trials)),
        "## Set-up\n\n" + "\n".join(f"- {note}" for note in notes),
    ]
    write_text(folder / "scan.md", "\n\n".join(parts) + "\n")
    write_scan(trials, folder / "scan.csv")
    return [folder / "scan.md", folder / "scan.csv", plotting.save_figure(figure, folder / "scan.png", dpi=100)]


def scan_claims(trials: Sequence[Trial]) -> list[str]:
    """What appendix D says about the lowest and highest weights, one line each."""
    by_weight = {weight: [trial for trial in trials if trial.weight == weight] for weight in WEIGHTS}
    ends = {
        weight: (min(each, key=lambda t: t.value), max(each, key=lambda t: t.value))
        for weight, each in by_weight.items()
    }
    classification, similarity, reconstruction = (ends[weight] for weight in WEIGHTS)
    return [
        _judged("Low classification loss makes some transformations unsuccessful", "share", *classification),
        _judged("Similarity loss is the key to a small distance", "distance", *similarity[::-1]),
        _judged("High similarity loss makes baselines too similar to the image to be of the target", "share",
                *similarity[::-1]),
        _judged("High reconstruction loss can lead to incorrect outputs", "share", *reconstruction[::-1]),
    ]  # fmt: skip


def _judged(text: str, measure: str, lower: Trial, higher: Trial) -> str:
    """Whether ``measure`` is lower in one trial than in the other, on the same images, and by how much."""
    numbers = {"share": "assigned", "distance": "distances"}[measure]
    low, high = (np.asarray(getattr(trial, numbers), np.float64) for trial in (lower, higher))
    by = bootstrap_interval(high - low)
    verdict = HOLDS if by.low > 0 else FAILS if by.high < 0 or by.low == by.high else UNDECIDED
    sign = {HOLDS: "<", FAILS: "≮", UNDECIDED: "≈"}[verdict]
    words = "share classified as target" if measure == "share" else "distance"
    return (
        f"{text} (appendix D): **{verdict}**. {words}: {low.mean():.3f} at {lower.weight} {lower.value:g} {sign} "
        f"{high.mean():.3f} at {higher.value:g}, by {by.mean:+.3f} [{by.low:.3f}, {by.high:.3f}]."
    )
