"""The checks themselves: what is compared with what, what must pass and what must fail."""

from __future__ import annotations

import csv
from functools import partial

import numpy as np
import pytest
import tensorflow as tf
from sanity_cases import SHAPE, classifier, images

import tf_ganmex as gx
from tf_ganmex import baselines
from tf_ganmex.errors import BaselineError, LabelError, OptionError
from tf_ganmex.sanity import MEASURES, PerStage, cascading_randomization, random_logit_test, randomization_test

STAGES = ("c", "a", "d", "b")
ORIGIN, TARGET = np.array([0, 1, 2, 0, 1, 2]), np.array([1, 2, 0, 2, 0, 1])
COUNT = len(ORIGIN)
ig = partial(gx.attributions.integrated_gradients, steps=8)


@pytest.fixture(scope="module")
def clf():
    return classifier()


@pytest.fixture(scope="module")
def x():
    return images(COUNT)


def edges(clf, x, origin, target, baseline, *, score):
    """A map that knows nothing of the classifier: what the check is made to find."""
    return np.diff(x, axis=1, append=0)


@pytest.fixture(scope="module")
def check(clf, x):
    given = {"zero": baselines.zero(), "image": x[::-1]}
    return randomization_test(clf, x, ORIGIN, TARGET, methods={"IG": ig, "edges": edges}, baselines=given, shown=2)


def test_a_map_of_the_classifier_changes_and_one_of_the_image_alone_does_not(check):
    assert check.stages == STAGES
    assert set(check.columns) == {("IG", "zero"), ("IG", "image"), ("edges", "zero"), ("edges", "image")}
    for stage in STAGES:
        for measure in MEASURES:
            np.testing.assert_allclose(check.similarities[stage, "edges", "zero"][measure], 1, atol=1e-6)
        assert check.similarities[stage, "IG", "image"]["spearman"].mean() < 0.8


def test_similarities_are_those_of_the_maps_of_each_stage(check, clf, x):
    stages = dict(cascading_randomization(clf))
    original = ig(clf, x, ORIGIN, TARGET, x[::-1])
    for stage in ("c", "d"):
        maps = ig(stages[stage], x, ORIGIN, TARGET, x[::-1])
        for name, value in gx.sanity.similarity(original, maps).items():
            np.testing.assert_allclose(check.similarities[stage, "IG", "image"][name], value, atol=1e-5)
        np.testing.assert_allclose(check.maps[stage, "IG", "image"], maps[:2], atol=1e-6)
        told = stages[stage].predict(x[::-1]) == TARGET
        np.testing.assert_array_equal(check.of_baselines[stage, "image"]["assigned"], told)


def test_a_baseline_per_stage_is_made_for_its_classifier_once_and_others_once_at_all(clf, x):
    asked, made = [], []

    def plain(x, target):
        asked.append(target)
        return 1 - x

    def make(stage):
        made.append(stage)
        return lambda x, target: np.full_like(x, 0.1 * len(made))

    stages = list(cascading_randomization(clf))
    given = {"plain": plain, "follows": PerStage(make)}
    found = randomization_test(
        clf, x, ORIGIN, TARGET, methods={"IG": ig, "edges": edges}, baselines=given, stages=stages, shown=1
    )
    assert len(asked) == 1
    np.testing.assert_array_equal(asked[0], TARGET)
    assert made == [clf, *(stage for _, stage in stages)]
    for count, stage in enumerate(("original", *STAGES), start=1):
        np.testing.assert_allclose(found.images[stage, "follows"], 0.1 * count, rtol=1e-6)
        np.testing.assert_array_equal(found.images[stage, "plain"], 1 - x[:1])
        measured = found.of_baselines[stage, "follows"]
        np.testing.assert_allclose(measured["moved"], 0.1 * (count - 1) * 8, atol=1e-6)  # 8 x 8 pixels
        np.testing.assert_allclose(measured["distance"], np.linalg.norm((x - 0.1 * count).reshape(COUNT, -1), axis=1))
        assert not found.of_baselines[stage, "plain"]["moved"].any()


def test_methods_get_the_baselines_that_they_can_use(clf, x):
    train = images(9, seed=4)
    samples = baselines.random_sample(train, np.arange(9) % 3)
    given = {"zero": baselines.zero(), "samples": samples}
    stages = list(cascading_randomization(clf))[:1]
    methods = {
        "IG": ig,
        "EG": partial(gx.attributions.expected_gradients, steps=4),
        "gradient": gx.attributions.gradient,
    }
    found = randomization_test(clf, x, ORIGIN, TARGET, methods=methods, baselines=given, stages=stages)
    assert found.columns == (("IG", "zero"), ("IG", "samples"), ("EG", "samples"), ("gradient", ""))
    assert "samples" not in {baseline for _, baseline in found.images}
    wanted = [("gradient", ""), ("EG", "samples")]
    two = randomization_test(clf, x, ORIGIN, TARGET, methods=methods, baselines=given, stages=stages, columns=wanted)
    assert list(two.columns) == wanted
    for measure in MEASURES:
        np.testing.assert_array_equal(
            two.similarities["c", "EG", "samples"][measure], found.similarities["c", "EG", "samples"][measure]
        )


@pytest.mark.parametrize("target", [None, "average"])
def test_without_a_target_for_each_image(clf, x, target):
    stages = list(cascading_randomization(clf))[:1]
    nearest = baselines.nearest(images(9, seed=4), np.arange(9) % 3)
    given = {"zero": baselines.zero()} | ({"nearest": nearest} if target else {})
    found = randomization_test(clf, x, ORIGIN, target, methods=["gradient", "deeplift"], baselines=given, stages=stages)
    assert ("deeplift", "zero") in found.columns
    assert not any("assigned" in measured for measured in found.of_baselines.values())
    if target:
        expected = gx.attributions.deeplift(stages[0][1], x, ORIGIN, "average", nearest)
        np.testing.assert_allclose(found.maps["c", "deeplift", "nearest"], expected[:4], atol=1e-6)
    assert found.plot_maps().axes


def test_arguments_that_do_not_fit(clf, x):
    ask = partial(randomization_test, clf, x, ORIGIN, TARGET)
    with pytest.raises(OptionError, match="Expected methods among"):
        ask(methods=["smoothgrad"], baselines={"zero": baselines.zero()})
    with pytest.raises(OptionError, match="random_sample"):
        ask(methods=["expected_gradients"], baselines={"zero": baselines.zero()})
    with pytest.raises(OptionError, match=r"Expected columns among \[\('IG', 'zero'\)\]. Received: \('IG', 'white'\)"):
        ask(methods={"IG": ig}, baselines={"zero": baselines.zero()}, columns=[("IG", "white")])
    with pytest.raises(BaselineError):
        ask(methods={"IG": ig}, baselines={"small": np.zeros((3, 3, 1))})
    with pytest.raises(LabelError):
        randomization_test(clf, x, ORIGIN, ORIGIN, baselines={"zero": baselines.zero()})


def test_tables_and_pictures(check, tmp_path):
    text = check.to_markdown()
    assert text.count("| method × baseline | c | a | d | b |") == len(MEASURES)
    assert "| edges × zero | 1.000 [1.00, 1.00] |" in text
    assert text.count("| baseline | original | c | a | d | b |") == 3
    assert check.to_markdown(["ssim", "moved"]).count("**") == 4
    with pytest.raises(OptionError, match=r"Expected measures among .*Received: 'likeness'"):
        check.to_markdown(["likeness"])
    paths = check.save(tmp_path)
    assert sorted(path.name for path in paths) == ["curves.png", "maps_0.png", "maps_1.png", "sanity.csv", "sanity.md"]
    with open(tmp_path / "sanity.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * 4 * 4 + 5 * 2 * 3
    (row,) = (r for r in rows if (r["stage"], r["method"], r["baseline"], r["measure"]) == ("d", "IG", "image", "ssim"))
    assert float(row["mean"]) == pytest.approx(check.similarities["d", "IG", "image"]["ssim"].mean())
    figure = check.plot_curves(["ssim"])
    lines = {line.get_label(): line for line in figure.axes[0].get_lines()}
    values = [1, *(check.similarities[stage, "IG", "image"]["ssim"].mean() for stage in STAGES)]
    np.testing.assert_allclose(lines["IG × image"].get_ydata(), values)
    with pytest.raises(OptionError, match="measures"):
        check.plot_curves(["likeness"])
    with pytest.raises(OptionError, match="index below 2"):
        check.plot_maps(2)
    with pytest.raises(OptionError, match=r"Expected columns among .*Received: \('IG', 'white'\)"):
        check.plot_maps(columns=[("IG", "white")])
    titles = {text.get_text() for text in check.plot_maps(columns=[("edges", "image")]).texts}
    assert {"image: baseline", "edges × image"} <= titles and "IG × image" not in titles


def test_many_columns_have_panels_by_method():
    names = [*((method, baseline) for method in ("IG", "DeepLIFT") for baseline in "abcd"), ("EG", "samples")]
    values = {name: np.full(4, 0.1 * place) for place, name in enumerate(names)}
    check = gx.sanity.SanityCheck(
        stages=("out",),
        columns=tuple(names),
        similarities={("out", *name): {"ssim": values[name], "hog": values[name]} for name in names},
        of_baselines={},
        x=np.zeros((0, 4, 4, 1)),
        maps={},
        images={},
        value_range=(0.0, 1.0),
    )
    figure = check.plot_curves()
    panels = [axes for axes in figure.axes if axes.get_lines()]
    assert [axes.get_ylabel() for axes in panels] == ["IG", "", "DeepLIFT", ""]
    assert [axes.get_title() for axes in panels[:2]] == ["ssim", "hog"]
    ends = [[line.get_ydata()[-1] for line in axes.get_lines() if len(line.get_ydata()) == 2][:5] for axes in panels]
    np.testing.assert_allclose(ends[0], [0, 0.1, 0.2, 0.3, 0.8], atol=1e-9)  # with that of the single column
    np.testing.assert_allclose(ends[2][:4], [0.4, 0.5, 0.6, 0.7])
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {*"abcd", "EG × samples"}


# --- random logit -----------------------------------------------------------------------------------------------------


def linear(classes):
    weights = tf.constant(np.random.default_rng(0).normal(size=(64, classes)), tf.float32)
    return gx.load_classifier(lambda x: tf.reshape(x, (-1, 64)) @ weights, output="logits", input_shape=SHAPE)


def recorded(asked):
    def method(clf, x, origin, target, baseline, *, score):
        asked.append((origin, target, np.array(baseline)))
        return gx.attributions.gradient(clf, x, origin, target, score=score)

    return method


def test_another_target_is_neither_and_shares_the_origin():
    clf = linear(40)
    x, asked = images(12), []
    origin, target = np.arange(12), np.arange(12) + 20
    follows = lambda x, t: x * 0 + np.asarray(t).reshape(-1, 1, 1, 1) / 100  # noqa: E731
    found = random_logit_test(
        clf, x, origin, target, methods={"m": recorded(asked)}, baselines={"own": follows}, score="logit"
    )
    assert found.stages == ("another target",)
    (o1, t1, b1), (o2, t2, b2) = asked
    np.testing.assert_array_equal(o1, o2)
    assert (t2 != t1).all() and (t2 != o2).all() and len(set(t2)) > 6
    np.testing.assert_allclose(b1.reshape(12, -1)[:, 0] * 100, t1, rtol=1e-5)
    np.testing.assert_allclose(b2.reshape(12, -1)[:, 0] * 100, t2, rtol=1e-5)
    # Unrelated weight vectors: w_o − w_t and w_o − w_t' have a correlation of one half.
    assert found.similarities["another target", "m", "own"]["spearman"].mean() == pytest.approx(0.5, abs=0.1)


def test_another_origin_and_one_vs_all():
    clf = linear(40)
    x, origin, asked = images(12), np.arange(12), []
    options = {"methods": {"m": recorded(asked)}, "baselines": {"zero": baselines.zero()}, "score": "logit"}
    alone = random_logit_test(clf, x, origin, **options)
    assert alone.stages == ("another origin",)
    assert asked[0][1] is asked[1][1] is None and (asked[0][0] != asked[1][0]).all()
    assert abs(alone.similarities["another origin", "m", "zero"]["spearman"].mean()) < 0.15
    asked.clear()
    random_logit_test(clf, x, origin, origin + 20, changed="origin", **options)
    assert (asked[1][0] != origin).all() and (asked[1][0] != origin + 20).all()
    np.testing.assert_array_equal(asked[1][1], origin + 20)


def test_the_draw_of_another_class_is_seeded_and_even():
    clf = linear(4)
    x, asked = images(200), []
    options = {"methods": {"m": recorded(asked)}, "baselines": {"zero": baselines.zero()}}
    for seed in (0, 0, 1):
        random_logit_test(clf, x, 0, 2, seed=seed, **options)
    first, again, other = (asked[i][1] for i in (1, 3, 5))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert set(first) == {1, 3} and abs((first == 1).mean() - 0.5) < 0.15


def test_random_logit_arguments(x):
    zero = {"zero": baselines.zero()}
    clf = linear(2)
    with pytest.raises(OptionError, match="another class"):
        random_logit_test(clf, x, 0, 1, baselines=zero)
    clf = linear(3)
    for target, changed in ((None, "target"), ("average", None), (1, "both")):
        with pytest.raises(OptionError, match="changed"):
            random_logit_test(clf, x, 0, target, changed=changed, baselines=zero)
