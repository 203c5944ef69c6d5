"""The page about the randomized classifiers: claims, what the measures tell apart, tables, and how it was made."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from tf_ganmex.files import replaced, write_text
from tf_ganmex.metrics import bootstrap_interval
from tf_ganmex.reproduce.kept_checks import KeptCheck
from tf_ganmex.reproduce.problem import Problem, setup_notes
from tf_ganmex.reproduce.randomization_claims import (
    ALONE,
    CLAIMS,
    EG,
    FIXED,
    FOLLOWING,
    METHODS,
    SAMPLES,
    SHAPE,
    UNMOVED,
    WORDS,
    judged,
    name_of,
    values_of,
)
from tf_ganmex.sanity import SanityCheck, SimilarityRow
from tf_ganmex.sanity.adaptation import LEAST_SPREAD
from tf_ganmex.sanity.result import Column

MODES = {"norm": "Gaussian noise of the same norm", "reinitialize": "New initial values"}
_SOURCES = {"norm": "the published form", "reinitialize": "Adebayo et al., arXiv:1810.03292"}
# The rows of the paper's figure 3.G, and of the picture of its ablation.
SHOWN: tuple[Column, ...] = (
    *((method, "zero") for method in METHODS),
    (EG, SAMPLES),
    *((method, FOLLOWING) for method in METHODS),
    *((method, ALONE) for method in METHODS),
)


@dataclass(frozen=True, eq=False)
class Findings:
    """What was measured.

    Attributes:
        problem: on what.
        images: how many.
        checks: by mode.
        logit: the random-logit check; None of two classes.
        weights: λ_cls by (mode, stage).
        seconds_alone: processor seconds of the training of the stand-alone GAN.
        seconds_stages: of GANMEX's at all stages of both modes.
    """

    problem: Problem
    images: int
    checks: dict[str, KeptCheck]
    logit: KeptCheck | None
    weights: dict[tuple[str, str], float]
    seconds_alone: float
    seconds_stages: float


def write_page(findings: Findings, folder: Path) -> list[Path]:
    """Writes randomization.md and randomization.csv; returns the paths."""
    parts = [_opening(findings)]
    for mode, kept in findings.checks.items():
        parts += [f"## {MODES[mode]}", f"The mode `{mode}`: {_SOURCES[mode]}.", _verdicts(kept.check, mode)]
        parts += [_told_apart(kept.check), _signs(kept.check), *_tables(kept.check)]
    parts += [_random_logit(findings.logit), _setup(findings)]
    write_text(folder / "randomization.md", "\n\n".join(filter(None, parts)) + "\n")
    return [folder / "randomization.md", _write_numbers(findings, folder / "randomization.csv")]


def _opening(findings: Findings) -> str:
    setup = findings.problem.setup
    return (
        "# Cascading randomization of the classifier\n\n"
        f"`{setup.command}`: {findings.images} test images of {findings.problem.data.name} that the classifier gets "
        f"right, each against a random other class, seed {setup.seed}; IG and EG with {setup.steps} steps. The layers "
        "of the classifier are randomized from the output to the input, one after another, and stay so. The question "
        f"(origin, target) stays. **{FOLLOWING}** is trained on for {setup.stage_steps} steps against the classifier "
        f"of each stage; **{FIXED}** is the same generator, not trained on; the **{ALONE}** was trained for "
        f"{setup.stand_alone_steps:,} steps with a class discriminator of its own, in place of the classifier. "
        "Intervals: 95 %, bootstrap over images."
    )


def _tables(check: SanityCheck) -> list[str]:
    """The baselines, and folded away the similarities."""
    return [
        check.to_markdown(["assigned", "distance", "moved"]).strip(),
        "<details><summary>Similarity of maps by stage, all methods and baselines</summary>",
        check.to_markdown(check.measures).strip(),
        "</details>",
    ]


# --- claims -----------------------------------------------------------------------------------------------------------


def _verdicts(check: SanityCheck, mode: str) -> str:
    pictures = (
        f"![Baselines and maps by stage](randomization_{mode}.png)\n\n"
        f"![Similarities by stage](randomization_{mode}_curves.png)"
    )
    how = (
        "**Claims of the text**\n\nThe paper goes by its pictures. Here it is the Spearman correlation of |map| that "
        "tells how much of a shape is left, and a claim is undecided where SSIM or HOG bears it out in less than half "
        "of the comparisons."
    )
    return f"{pictures}\n\n{how}\n\n" + "\n".join(f"- {judged(claim, check)}" for claim in CLAIMS)


# --- what tells columns apart -----------------------------------------------------------------------------------------


def _told_apart(check: SanityCheck) -> str:
    """By measure, how much more similar to the originals maps are with other baselines than with GANMEX."""
    lines = [
        "**What tells GANMEX from baselines that stay as they are, and what does not**",
        "",
        f"How much more similar to the original maps those with another baseline are than those with {FOLLOWING}: mean "
        f"over {', '.join(METHODS)} and all stages.",
        "",
        _line(["measure", *UNMOVED, "tells all of them apart"]),
        _line(["---"] * (len(UNMOVED) + 2)),
    ]
    for measure in check.measures:
        of_ganmex = _mean_over(check, measure, FOLLOWING)
        found = [bootstrap_interval(_mean_over(check, measure, name) - of_ganmex) for name in UNMOVED]
        apart = "yes" if all(each.low > 0 for each in found) else "no"
        lines.append(_line([WORDS[measure], *(f"{f.mean:+.3f} [{f.low:.3f}, {f.high:.3f}]" for f in found), apart]))
    return "\n".join(lines)


def _mean_over(check: SanityCheck, measure: str, baseline: str) -> np.ndarray:
    return np.mean(
        [values_of(check, stage, measure, (method, baseline)) for stage in check.stages for method in METHODS], axis=0
    )


def _signs(check: SanityCheck) -> str:
    """How the maps of all columns fare by the measure that sees signs."""
    last = check.stages[-1]
    means = [check.interval(last, *column, "spearman").mean for column in check.columns]
    shapes = [check.interval(last, *column, SHAPE).mean for column in check.columns]
    return (
        f"With all layers down to {last} randomized, the signed Spearman of the columns lies between {min(means):.2f} "
        f"and {max(means):.2f}: where it is near 0, which pixels speak for the class is lost with every baseline, and "
        f"all pass this check. The Spearman of |map| lies between {min(shapes):.2f} and {max(shapes):.2f}. It sees "
        "above all where a map is zero, which is where image and baseline are equal: a baseline that stays as it is "
        "keeps those pixels, whatever the classifier. So it tells a baseline that follows the classifier from one that "
        f"does not, rather than a class-targeted one from another; {FIXED} and the {ALONE} fare alike in it, and in "
        "the share made the target, because neither is trained on."
    )


def _random_logit(kept: KeptCheck | None) -> str:
    if kept is None:
        return "## Random logit\n\nOf two classes there is no other class to ask for."
    check = kept.check
    (stage,) = check.stages
    lines = [
        "## Random logit",
        "",
        "Similarity of the map against the target to that against another random class, with the original classifier. "
        "The origin is in both, so some similarity is right: of unrelated contributions, half. Near 1, a map is one of "
        "the origin alone (Sixt et al., arXiv:1912.09818).",
        "",
        _line(["method × baseline", *(WORDS[name] for name in check.measures)]),
        _line(["---"] * (len(check.measures) + 1)),
    ]
    for column in check.columns:
        found = [check.interval(stage, *column, name) for name in check.measures]
        lines.append(_line([name_of(column), *(f"{f.mean:.3f} [{f.low:.2f}, {f.high:.2f}]" for f in found)]))
    return "\n".join(lines)


# --- how it was made --------------------------------------------------------------------------------------------------


def _setup(findings: Findings) -> str:
    problem, setup = findings.problem, findings.problem.setup
    new = (
        "It was saved without its discriminator, so every stage starts with a new one."
        if problem.ganmex.has_new_discriminator
        else "Every stage starts with its discriminator."
    )
    maps = sum(kept.seconds for kept in (*findings.checks.values(), findings.logit) if kept is not None)
    notes = [
        f"{FOLLOWING} at each stage: from the generator at hand, {setup.stage_steps} steps of Adam at a constant 2e-4, "
        f"32 images a batch. {new} {_weights(findings)} The papers do not say how GANMEX followed the classifier.",
        f"The {ALONE}: all options those of the GANMEX at hand, trained from new weights for "
        f"{setup.stand_alone_steps:,} steps; Adam from 3e-4 to 0 along a cosine.",
        f"Processor time on {os.cpu_count()} cores: {findings.seconds_alone:.0f} s for the stand-alone GAN, "
        f"{findings.seconds_stages:.0f} s for GANMEX at all stages of both forms, {maps:.0f} s for maps and "
        "similarities. All trainings are kept, and gone on with after an interruption.",
        *setup_notes(problem),
    ]
    return "## Set-up\n\n" + "\n".join(f"- {note}" for note in notes)


def _weights(findings: Findings) -> str:
    """λ_cls where it is not that of the GANMEX at hand."""
    usual = findings.problem.ganmex.options.classification_weight
    raised = [
        f"{MODES[mode].lower()}, {stage}: {weight:g} (distance {_distance(findings, mode, stage):.1f})"
        for (mode, stage), weight in findings.weights.items()
        if weight != usual
    ]
    if not raised:
        return f"λ_cls is {usual:g} at all stages."
    return (
        f"λ_cls is {usual:g}, and more where the logits of the classifier spread less than {LEAST_SPREAD:g} (standard "
        f"deviation over classes), for it would hardly move the generator: {'; '.join(raised)}."
    )


def _distance(findings: Findings, mode: str, stage: str) -> float:
    return findings.checks[mode].check.interval(stage, "", FOLLOWING, "distance").mean


def _write_numbers(findings: Findings, path: Path) -> Path:
    names = [field.name for field in fields(SimilarityRow)]
    kept = findings.checks | ({} if findings.logit is None else {"random_logit": findings.logit})
    with replaced(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["check", *names], lineterminator="\n")
        writer.writeheader()
        for name, each in kept.items():
            writer.writerows({"check": name} | asdict(row) for row in each.check.rows())
    return path


def _line(words: Sequence[str]) -> str:
    return "| " + " | ".join(word.replace("|", "\\|") for word in words) + " |"
