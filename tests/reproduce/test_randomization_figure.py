"""The randomization of ``ganmex reproduce``: what follows the classifier, what does not, and what is kept."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from tf_ganmex.cli import main
from tf_ganmex.gan import GANMEX
from tf_ganmex.reproduce.claims import FAILS, HOLDS, UNDECIDED
from tf_ganmex.reproduce.kept_checks import from_arrays, to_arrays
from tf_ganmex.reproduce.randomization_claims import ALONE, CLAIMS, EG, FIXED, FOLLOWING, METHODS, SAMPLES, judged
from tf_ganmex.sanity import MEASURES, SanityCheck

FAST = ["--limit", "6", "--steps", "3", "--stage-steps", "2", "--stand-alone-steps", "3"]
MODES, STAGE = ("norm", "reinitialize"), "out"


def run(folder, where, *arguments) -> int:
    places = ["--models", folder / "models", "--out", where / "out", "--keep", where / "keep"]
    command = ["reproduce", folder / "mnist.npz", "--figure", "randomization", *places, *FAST, *arguments]
    return main([str(word) for word in command])


def numbers(where) -> dict:
    with (where / "out" / "randomization.csv").open() as file:
        return {(r["check"], r["stage"], r["method"], r["baseline"], r["measure"]): r for r in csv.DictReader(file)}


@pytest.fixture(scope="module")
def made(one_layer, tmp_path_factory):
    where = tmp_path_factory.mktemp("randomization")
    assert run(one_layer, where) == 0
    return where


def test_every_column_of_both_forms_and_of_the_random_logit(made):
    found = numbers(made)
    named = [(method, name) for method in METHODS for name in ("zero", "MDTS", FIXED, FOLLOWING, ALONE)]
    for mode in MODES:
        columns = [key[2:4] for key in found if key[0] == mode and key[2]]
        assert list(dict.fromkeys(columns)) == [*named, (EG, SAMPLES)]
        assert {key[1] for key in found if key[0] == mode and key[2]} == {STAGE}
    logit = {key[2:4] for key in found if key[0] == "random_logit" and key[2]}
    assert logit == {*(column for column in named if column[1] != FIXED), (EG, SAMPLES)}
    assert {row["count"] for row in found.values()} <= {str(n) for n in range(7)}


def test_ganmex_is_trained_on_for_each_classifier_and_the_others_stay(made):
    found = numbers(made)
    for mode in MODES:
        moved = {name: float(found[mode, STAGE, "", name, "moved"]["mean"]) for name in (FOLLOWING, FIXED, ALONE)}
        assert moved[FOLLOWING] > 0 and moved[FIXED] == moved[ALONE] == 0
    both = [float(found[mode, STAGE, "", FOLLOWING, "moved"]["mean"]) for mode in MODES]
    assert both[0] != both[1], "each form has classifiers of its own"
    kept = [path.parent for path in (made / "keep" / "randomized").rglob("ganmex.json")]
    assert len(kept) == len(MODES)


def test_the_page_says_how_and_judges_every_claim(made):
    text = (made / "out" / "randomization.md").read_text()
    for words in ("Gaussian noise", "Adebayo", "2 steps against", "3 steps with a class", "without its discriminator",
                  "seed 0", "Random logit", "share of baselines that the classifier", "s for maps"):  # fmt: skip
        assert words in text
    assert sum(line.startswith("- ") and "comparisons hold" in line for line in text.splitlines()) == 2 * len(CLAIMS)
    pictures = {path.name for path in (made / "out").glob("*.png")}
    assert pictures == {f"randomization_{mode}{end}.png" for mode in MODES for end in ("", "_curves")}
    assert all(f"({name})" in text for name in pictures)


def test_nothing_is_computed_again_and_other_steps_are_other_trainings(one_layer, made, monkeypatch):
    first = (made / "out" / "randomization.csv").read_bytes()

    def refuse(*args, **kwargs):
        raise AssertionError("computed again")

    with monkeypatch.context() as patched:
        patched.setattr(GANMEX, "train_step", refuse)
        patched.setattr("tf_ganmex.sanity.testing._compare", refuse)
        assert run(one_layer, made) == 0
        assert (made / "out" / "randomization.csv").read_bytes() == first
        for option in ("--stage-steps", "--stand-alone-steps"):
            with pytest.raises(AssertionError, match="computed again"):
                run(one_layer, made, option, "1")


def test_the_stand_alone_gan_goes_on_where_it_was_stopped(one_layer, tmp_path, monkeypatch):
    from tf_ganmex.reproduce import trained

    monkeypatch.setattr(trained, "_CHECKPOINT_STEPS", 1)
    epochs = trained.Told.on_epoch_end

    def stopped(self, epoch, logs=None):
        epochs(self, epoch, logs)
        if epoch == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(trained.Told, "on_epoch_end", stopped)
        assert run(one_layer, tmp_path) == 130
    seen = []
    monkeypatch.setattr(trained.Told, "on_epoch_end", lambda self, epoch, logs=None: seen.append(epoch))
    monkeypatch.setattr("tf_ganmex.reproduce.randomization._following", lambda problem: pytest.fail("far enough"))
    with pytest.raises(BaseException, match="far enough"):
        run(one_layer, tmp_path)
    assert seen == [2], "the last of three steps alone"


def check_of(values: dict[str, float], noise: float = 0.0) -> SanityCheck:
    """A check with the same similarities for all methods, and shares, by baseline."""
    rng, stages = np.random.default_rng(0), ("out", "in")
    columns = [*((method, name) for method in METHODS for name in ("zero", FOLLOWING, FIXED, ALONE)), (EG, SAMPLES)]

    def of(name):
        return values[name] + noise * rng.normal(size=50)

    return SanityCheck(
        stages=stages,
        columns=tuple(columns),
        similarities={(s, *column): {name: of(column[1]) for name in MEASURES} for s in stages for column in columns},
        of_baselines={
            (s, name): {"assigned": np.full(50, name == FOLLOWING), "moved": np.full(50, 3.0 * (name == FOLLOWING))}
            for s in stages
            for name in (FOLLOWING, FIXED, ALONE)
        },
        x=np.zeros((1, 4, 4, 1), np.float32),
        maps={(s, *column): np.ones((1, 4, 4, 1)) for s in ("original", *stages) for column in columns},
        images={(s, name): np.ones((1, 4, 4, 1)) for s in ("original", *stages) for name in (FOLLOWING, ALONE)},
        value_range=(0.0, 1.0),
    )


@pytest.mark.parametrize(
    ("values", "noise", "verdicts"),
    [
        ({"zero": 0.99, ALONE: 0.98, FIXED: 0.98, SAMPLES: 0.9, FOLLOWING: 0.6}, 0.01, [HOLDS] * 6),
        ({"zero": 0.6, ALONE: 0.6, FIXED: 0.6, SAMPLES: 0.7, FOLLOWING: 0.9}, 0.01, [HOLDS] * 2 + [FAILS] * 4),
        ({"zero": 0.9, ALONE: 0.9, FIXED: 0.9, SAMPLES: 0.9, FOLLOWING: 0.9}, 0.1, [HOLDS] * 2 + [UNDECIDED] * 4),
    ],
)
def test_claims_are_judged_by_the_numbers(values, noise, verdicts):
    lines = [judged(claim, check_of(values, noise)) for claim in CLAIMS]
    for line, verdict in zip(lines, verdicts, strict=True):
        assert f"**{verdict}**" in line or (verdict == UNDECIDED and f"**{FAILS}**" in line), line
    assert "by +1.000 [1.000, 1.000]" in lines[0]


def test_a_claim_about_the_shape_is_undecided_where_another_measure_says_otherwise():
    check = check_of({"zero": 0.99, ALONE: 0.98, FIXED: 0.98, SAMPLES: 0.9, FOLLOWING: 0.6}, 0.01)
    for (_, method, _), measured in check.similarities.items():
        if method == EG:
            measured["ssim"] = np.full(50, 0.2)
    verdicts = {claim.text[:8]: judged(claim, check) for claim in CLAIMS}
    assert f"**{UNDECIDED}**. 6 of 6 comparisons hold, by SSIM 0, by HOG 6;" in verdicts["EG still"]
    assert f"**{HOLDS}**. 6 of 6 comparisons hold, by SSIM 6, by HOG 6;" in verdicts["EG is mo"]


def test_a_generator_that_does_not_follow_is_told():
    check = check_of({"zero": 0.99, ALONE: 0.98, FIXED: 0.98, SAMPLES: 0.9, FOLLOWING: 0.6})
    for measured in check.of_baselines.values():
        measured["assigned"] = np.zeros(50)
        measured["moved"] = np.zeros(50)
    assert all(f"**{FAILS}**" in judged(claim, check) for claim in CLAIMS[:2])


def test_a_check_comes_back_from_its_arrays():
    check = check_of({"zero": 0.9, ALONE: 0.8, FIXED: 0.7, SAMPLES: 0.6, FOLLOWING: 0.5}, 0.1)
    again = from_arrays(to_arrays(check))
    assert again.rows() == check.rows() and (again.stages, again.columns) == (check.stages, check.columns)
    for name in ("maps", "images"):
        ours, theirs = getattr(check, name), getattr(again, name)
        assert ours.keys() == theirs.keys() and all((ours[key] == theirs[key]).all() for key in ours)
    assert again.value_range == check.value_range


def test_a_deep_network_has_a_few_stages_and_its_last_layer_among_them(monkeypatch):
    from types import SimpleNamespace

    from tf_ganmex.reproduce import randomization

    stages = [(f"layer {n}", n) for n in range(13)]
    monkeypatch.setattr(randomization.sanity, "cascading_randomization", lambda *args, **options: iter(stages))
    problem = SimpleNamespace(clf=None, setup=SimpleNamespace(seed=0, stage_steps=1))
    found = [number for _, number in randomization._stages(problem, "norm")]
    assert found[-1] == 12 and found == sorted(found) and 4 <= len(found) <= 6
    assert np.ptp(np.diff(found)) == 0
