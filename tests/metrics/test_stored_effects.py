"""Effects kept on disk: found again for the same question only, and continued where they were interrupted."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from effect_cases import ORIGIN, TARGET, counting, layers, linear, network

import tf_ganmex as gx
from tf_ganmex.metrics import StoredEffects, draw_effects, effects, flip_drops


@pytest.fixture(scope="module")
def clf():
    return network()


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(2).random((4, 5, 5, 1), np.float32)


@pytest.fixture
def stored(tmp_path):
    return StoredEffects(tmp_path / "effects", progress=False)


@pytest.fixture
def computed(monkeypatch):
    """How many images each call computed, of flips and of draws."""
    counts: list[int] = []
    for name in ("drops_of", "effects_of"):
        function = getattr(effects, name)

        def spy(problem, *arguments, function=function):
            counts.append(len(problem))
            return function(problem, *arguments)

        monkeypatch.setattr(effects, name, spy)
    return counts


def test_the_same_as_without(stored, clf, x):
    for _ in range(2):
        np.testing.assert_allclose(
            stored.flip_drops(clf, x, ORIGIN, TARGET), flip_drops(clf, x, ORIGIN, TARGET), atol=1e-6
        )
        np.testing.assert_allclose(
            stored.draw_effects(clf, x, ORIGIN, TARGET, 3, 5), draw_effects(clf, x, ORIGIN, TARGET, 3, 5), rtol=1e-4
        )
        stratified = stored.draw_effects(clf, x, ORIGIN, TARGET, 3, 5, stratified=True)
        expected = draw_effects(clf, x, ORIGIN, TARGET, 3, 5, stratified=True)
        np.testing.assert_allclose(stratified, expected, rtol=1e-4)


def test_computed_once(stored, clf, x, computed):
    drops, squares = stored.flip_drops(clf, x, ORIGIN, TARGET), stored.draw_effects(clf, x, ORIGIN, TARGET, 3)
    assert sum(computed) == 8
    computed.clear()
    again = StoredEffects(stored.folder, progress=False)
    np.testing.assert_array_equal(again.flip_drops(clf, x, ORIGIN, TARGET), drops)
    np.testing.assert_array_equal(again.draw_effects(clf, x, ORIGIN, TARGET, 3), squares)
    order = np.array([3, 1, 1])
    np.testing.assert_array_equal(again.flip_drops(clf, x[order], ORIGIN[order], TARGET[order]), drops[order])
    assert computed == []


def test_what_is_missing_is_added(stored, clf, x, computed):
    first = stored.flip_drops(clf, x[1:3], ORIGIN[1:3], TARGET[1:3])
    computed.clear()
    whole = stored.flip_drops(clf, x, ORIGIN, TARGET)
    assert sum(computed) == 2
    np.testing.assert_array_equal(whole[1:3], first)
    computed.clear()
    stored.flip_drops(clf, x[[0, 0]], 1, 2)  # another question, of two equal images
    assert computed == [1]


def test_another_question_is_another_result(stored, clf, x, computed):
    base = {"draws": 3, "seed": 0, "score": "probability", "stratified": False}
    stored.draw_effects(clf, x[:1], 0, 1, **base)
    for change in ({"draws": 2}, {"seed": 1}, {"score": "logit"}, {"stratified": True}):
        options = base | change
        actual = stored.draw_effects(clf, x[:1], 0, 1, **options)
        np.testing.assert_allclose(actual, draw_effects(clf, x[:1], 0, 1, **options), rtol=1e-4)
    for origin, target in ((0, 2), (1, 0), (0, None), (0, "average")):
        actual = stored.draw_effects(clf, x[:1], origin, target, **base)
        np.testing.assert_allclose(actual, draw_effects(clf, x[:1], origin, target, **base), rtol=1e-4)
    np.testing.assert_allclose(stored.flip_drops(clf, x[:1], 0, 1), flip_drops(clf, x[:1], 0, 1), atol=1e-6)


def test_another_question_with_the_same_delta(stored):
    """A black image has no logits at all here, whatever is asked about it."""
    clf = linear(np.random.default_rng(5).normal(size=(25, 3)))
    black = np.zeros((1, 5, 5, 1), np.float32)
    for origin, target in ((0, 1), (0, 2), (1, 2), (0, None), (0, 1)):
        actual = stored.flip_drops(clf, black, origin, target)
        np.testing.assert_allclose(actual, flip_drops(clf, black, origin, target), atol=1e-6)


def test_another_classifier_is_another_result(stored, clf, x):
    """Other weights; the same weights with other images, with another head, and between other activations."""

    def dense(activation):
        model = keras.Sequential(
            [keras.Input((5, 5, 1)), layers.Flatten(), layers.Dense(6, activation), layers.Dense(3)]
        )
        model.set_weights([np.random.default_rng(4).normal(size=weight.shape) for weight in model.get_weights()])
        return model

    classifiers = [
        clf,
        clf.with_weights({name: 2 * value for name, value in clf.weights.items()}),
        gx.load_classifier(dense("relu"), output="logits"),
        gx.load_classifier(dense("relu"), output="logits", value_range=(-1, 1)),
        gx.load_classifier(dense("relu"), output="multilabel"),
        gx.load_classifier(dense("softplus"), output="logits"),
    ]
    for _ in range(2):
        for one in classifiers:
            np.testing.assert_allclose(stored.flip_drops(one, x, 0, 1), flip_drops(one, x, 0, 1), atol=1e-6)


@pytest.mark.parametrize("name", ["drops_of", "effects_of"])
def test_goes_on_where_it_was_interrupted(name, stored, clf, x, monkeypatch):
    function = getattr(effects, name)
    images = np.random.default_rng(6).random((20, 5, 5, 1), np.float32)
    left = 9

    def interrupted(problem, *arguments):
        nonlocal left
        left -= len(problem)
        if left < 0:
            raise KeyboardInterrupt
        return function(problem, *arguments)

    def ask(where):
        return where.flip_drops(clf, images, 0, 1) if name == "drops_of" else where.draw_effects(clf, images, 0, 1, 2)

    monkeypatch.setattr(effects, name, interrupted)
    with pytest.raises(KeyboardInterrupt):
        ask(stored)
    kept = [np.load(path)["values"] for path in stored.folder.rglob("*.npz")]
    assert sum(map(len, kept)) == 7  # 1 + 2 + 4; the next block did not fit into nine
    assert not list(stored.folder.rglob(".*"))
    rows = []
    monkeypatch.setattr(effects, name, lambda problem, *rest: rows.append(len(problem)) or function(problem, *rest))
    result = ask(stored)
    assert sum(rows) == 13
    monkeypatch.undo()
    alone = flip_drops(clf, images, 0, 1) if name == "drops_of" else draw_effects(clf, images, 0, 1, 2)
    np.testing.assert_allclose(result, alone, rtol=1e-3, atol=1e-7)


def test_a_block_takes_some_seconds(stored, clf, computed, monkeypatch):
    """However long an image takes, an interruption loses little: the blocks are as large as the time allows."""
    images = np.random.default_rng(6).random((40, 5, 5, 1), np.float32)
    now = 0.0

    def clock():
        nonlocal now
        now += 4.0 * (computed[-1] if computed else 0)  # four seconds an image
        return now / 2  # asked twice a block

    monkeypatch.setattr(effects.time, "monotonic", clock)
    stored.flip_drops(clf, images, 0, 1)
    assert sum(computed) == 40
    assert max(computed) <= 8


def test_damaged_files_are_computed_again(stored, clf, x, computed):
    drops = stored.flip_drops(clf, x, ORIGIN, TARGET)
    paths = sorted(stored.folder.rglob("*.npz"))
    paths[0].write_bytes(paths[0].read_bytes()[:200])
    np.savez(paths[1], something=1)
    (paths[0].parent / "notes.npz").write_text("")
    computed.clear()
    np.testing.assert_allclose(stored.flip_drops(clf, x, ORIGIN, TARGET), drops, atol=1e-6)
    assert 0 < sum(computed) <= 4
    computed.clear()
    stored.flip_drops(clf, x, ORIGIN, TARGET)
    assert computed == []


def test_nothing_is_kept_of_a_callable_without_fingerprint(stored, x):
    clf, counts = counting(np.random.default_rng(12).normal(size=(25, 3)))
    first = stored.flip_drops(clf, x, 0, 1)
    once = sum(counts)
    np.testing.assert_array_equal(stored.flip_drops(clf, x, 0, 1), first)
    assert sum(counts) == 2 * once
    assert not stored.folder.exists()


def test_replacements_are_not_mixed_with_flips(stored, clf, x):
    stored.flip_drops(clf, x, 0, 1)
    grey = np.full_like(x, 0.5)
    actual = stored.flip_drops(clf, x, 0, 1, replacement=grey)
    np.testing.assert_allclose(actual, flip_drops(clf, x, 0, 1, replacement=grey), atol=1e-6)


def test_progress_bar_within_another(stored, clf, x):
    from rich.progress import Progress

    with Progress(transient=True):
        StoredEffects(stored.folder).flip_drops(clf, x, 0, 1)
