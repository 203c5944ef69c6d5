"""ROAR on small problems whose important features are known; retrainings that leave no trace and are not repeated."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest

from tf_ganmex.errors import ImageError, LabelError, ModelError, OptionError, TrainingDivergedError
from tf_ganmex.metrics import Retrainer, class_pairs, one_pair, remove_top, retraining, roar, roar_area
from tf_ganmex.metrics.perturbation import attribution_ranks

layers = keras.layers
SHAPE = (6, 6, 2)
FRACTIONS = (0.2, 0.5)


def network(input_shape, num_classes, *, seed):
    """With everything that could leave a trace: weights, moving averages, dropout."""
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Flatten(),
            layers.BatchNormalization(momentum=0.8),
            layers.Dropout(0.1, seed=seed + 1),
            layers.Dense(num_classes, "softmax", kernel_initializer=keras.initializers.GlorotUniform(seed)),
        ]
    )


def make_retrainer(**options):
    return Retrainer(SHAPE, **{"network": network, "epochs": 6, "batch_size": 16, "learning_rate": 0.05} | options)


@pytest.fixture(scope="module")
def retrainer():
    return make_retrainer()


def problem(count, seed):
    """Noise, and a block of eight features that is brighter in one class; its channels have different means."""
    rng = np.random.default_rng(seed)
    y = np.where(np.arange(count) % 2, 7, 4)
    x = rng.random((count, *SHAPE), np.float32) * [0.5, 0.9]
    x[:, 2:4, 2:4] += np.where(y == 7, 0.2, -0.2)[:, None, None, None]
    return x.clip(0, 1).astype(np.float32), y


def with_maps(maps_of):
    return [(x, y, maps_of(x)) for x, y in (problem(240, 0), problem(100, 1))]


def perfect(x):
    maps = np.zeros(x.shape)
    maps[:, 2:4, 2:4] = 1
    return maps


def arbitrary(x):
    return np.random.default_rng(2).normal(size=x.shape)


def state(retrainer):
    return [np.asarray(variable) for variable in (*retrainer.model.variables, *retrainer.optimizer.variables)]


def assert_same_state(first, second):
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def splits_of(retrainer, train, test):
    fill = train[0].mean((0, 1, 2), dtype=np.float64).astype(np.float32)
    ends = [retrainer.removable(x, (y == 7).astype(int), attribution_ranks(maps), fill) for x, y, maps in (train, test)]
    return ends, fill


@pytest.fixture
def trained(monkeypatch):
    """The removals and seeds of the retrainings that really ran."""
    ran = []
    accuracy = Retrainer.accuracy

    def counted(self, *splits, count, seed):
        ran.append((count, seed))
        return accuracy(self, *splits, count=count, seed=seed)

    monkeypatch.setattr(Retrainer, "accuracy", counted)
    return ran


def test_removing_what_carries_the_class_costs_more_than_removing_anything(retrainer):
    good, random, bad = (
        roar(*with_maps(maps), retrainer=retrainer, fractions=FRACTIONS, repeats=2)
        for maps in (perfect, arbitrary, lambda x: -perfect(x))
    )
    assert good.shape == (2, 3)
    assert good[:, 0].min() > 0.9
    assert abs(good[:, 1:] - 0.5).max() < 0.2  # nothing is left of the class
    assert bad[:, 1:].min() > 0.9  # all of it is left
    areas = [roar_area(accuracies).mean for accuracies in (bad, random, good)]
    assert areas[0] < areas[1] - 0.02 < areas[2] - 0.15


def test_without_removal_maps_do_not_matter(retrainer):
    accuracies, states = [], []
    for maps in (perfect, arbitrary):
        (train, test), _ = splits_of(retrainer, *with_maps(maps))
        accuracies.append(retrainer.accuracy(train, test, count=0, seed=3))
        states.append(state(retrainer))
    assert accuracies[0] == accuracies[1]
    assert_same_state(*states)


def test_network_sees_the_mean_of_each_channel_in_exactly_the_top_fraction(retrainer):
    train, test = with_maps(arbitrary)
    (removing_train, removing_test), fill = splits_of(retrainer, train, test)
    assert fill.shape == (2,)
    cleaned = [(remove_top(x, maps, 0.3, fill), y, maps) for x, y, maps in (train, test)]
    count = round(0.3 * 72)
    for (x, _, maps), (removed, _, _) in zip((train, test), cleaned, strict=True):
        changed = removed != x
        assert (changed.sum((1, 2, 3)) == count).all()
        np.testing.assert_array_equal(removed[changed], np.broadcast_to(fill, x.shape)[changed])
        lowest_changed = np.where(changed, maps, np.inf).min((1, 2, 3))
        assert (lowest_changed > np.where(changed, -np.inf, maps).max((1, 2, 3))).all()
    (cleaned_train, cleaned_test), _ = splits_of(retrainer, *cleaned)
    accuracy = retrainer.accuracy(removing_train, removing_test, count=count, seed=1)
    after = state(retrainer)
    assert retrainer.accuracy(cleaned_train, cleaned_test, count=0, seed=1) == accuracy
    assert_same_state(state(retrainer), after)


def test_training_images_alone_give_the_mean(retrainer, tmp_path):
    (x, y, maps), test = with_maps(perfect)
    options = {"retrainer": retrainer, "fractions": FRACTIONS, "repeats": 1}
    means = x.mean((0, 1, 2), dtype=np.float64)
    assert means[1] - means[0] > 0.1
    by_default = roar((x, y, maps), test, directory=tmp_path, **options)
    done = len(list(tmp_path.iterdir()))
    np.testing.assert_array_equal(roar((x, y, maps), test, directory=tmp_path, fill=means, **options), by_default)
    assert len(list(tmp_path.iterdir())) == done
    roar((x, y, maps), test, directory=tmp_path, fill=0.0, **options)
    assert len(list(tmp_path.iterdir())) == done + len(FRACTIONS)


def test_retraining_leaves_no_trace(retrainer):
    (train, test), _ = splits_of(retrainer, *with_maps(arbitrary))
    retrainer.accuracy(train, test, count=20, seed=5)
    alone = state(retrainer)
    retrainer.accuracy(train, test, count=60, seed=6)
    assert not all(np.array_equal(*pair) for pair in zip(state(retrainer), alone, strict=True))
    retrainer.accuracy(train, test, count=20, seed=5)
    assert_same_state(state(retrainer), alone)
    another = make_retrainer()
    another.accuracy(train, test, count=20, seed=5)
    assert_same_state(state(another), alone)


def test_seed_decides(retrainer):
    train, test = with_maps(arbitrary)
    options = {"retrainer": retrainer, "fractions": (0.5,)}
    first = roar(train, test, repeats=3, seed=10, **options)
    np.testing.assert_array_equal(roar(train, test, repeats=2, seed=11, **options), first[1:])
    assert len(np.unique(first)) > 2


def test_each_retraining_starts_from_a_network_of_its_seed(retrainer, monkeypatch):
    started = []
    monkeypatch.setattr(retrainer, "_schedule", lambda images, seed: started.append(state(retrainer)) or [])
    (train, test), _ = splits_of(retrainer, *with_maps(arbitrary))
    for seed in (2, 0, 2):
        retrainer.accuracy(train, test, count=0, seed=seed)
    for seed, found in zip((2, 0, 2), started, strict=True):
        fresh = network(SHAPE, 2, seed=seed).variables
        assert_same_state(found[: len(fresh)], fresh)
    assert not all(np.array_equal(*pair) for pair in zip(*started[:2], strict=True))


def test_one_trace_serves_pairs_of_any_size(retrainer):
    train, test = with_maps(arbitrary)
    for rows in (100, 31, 5):  # fewer images than a batch, too
        short = [tuple(array[:rows] for array in split) for split in (train, test)]
        roar(*short, retrainer=retrainer, fractions=FRACTIONS, repeats=1)
    assert retrainer._step.experimental_get_tracing_count() == 1
    assert retrainer._hits.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("images", [64, 5, 23])
def test_every_image_is_trained_on_once_an_epoch(images, retrainer):
    rows, rates = zip(*retrainer._schedule(images, 0), strict=True)
    assert len(rows) == -(-6 * images // 16)
    shown = np.concatenate(rows)
    for epoch in range(6):
        np.testing.assert_array_equal(np.sort(shown[epoch * images : (epoch + 1) * images]), np.arange(images))
    assert rates[0] == np.float32(0.05)
    assert (np.diff(rates) < 0).all()


def test_interrupted_retrainings_go_on_where_they_were(retrainer, tmp_path, trained):
    train, test = with_maps(arbitrary)
    options = {"fractions": FRACTIONS, "repeats": 2}
    whole = roar(train, test, retrainer=retrainer, **options)
    expected, seen = trained[:], []
    trained.clear()

    def interrupt(done, total):
        seen.append((done, total))
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        roar(train, test, retrainer=retrainer, directory=tmp_path, progress=interrupt, **options)
    assert seen == [(1, 6), (2, 6), (3, 6), (4, 6)]
    # Another retrainer, as another process makes one; Keras calls its layers by other names.
    again = roar(train, test, retrainer=make_retrainer(), directory=tmp_path, **options)
    assert trained == expected
    np.testing.assert_array_equal(again, whole)


def test_kept_retrainings_are_those_of_the_same_question(retrainer, tmp_path, trained):
    train, test = with_maps(arbitrary)

    def count_of(train=train, test=test, retrainer=retrainer, **options):
        trained.clear()
        roar(train, test, retrainer=retrainer, directory=tmp_path, **{"fractions": (0.5,), "repeats": 1} | options)
        return len(trained)

    assert count_of() == 2
    assert count_of() == 0
    assert count_of(*with_maps(perfect)) == 1, "without removal, other maps need no other classifier"
    assert count_of((train[0] / 2, *train[1:])) == 2
    assert count_of((train[0], 11 - train[1], train[2]), (test[0], 11 - test[1], test[2])) == 2
    assert count_of(fractions=(0.25, 0.5)) == 1
    assert count_of(seed=1) == 2
    for option in ({"epochs": 2}, {"batch_size": 32}, {"learning_rate": 0.02}):
        assert count_of(retrainer=make_retrainer(**option)) == 2
    path = next(path for path in tmp_path.iterdir() if json.loads(path.read_text())["removed"] == 36)
    path.write_text("{")
    assert count_of() + count_of(*with_maps(perfect)) + count_of(seed=1) <= 1


def test_network_of_the_zoo_and_half_precision():
    x, y = problem(60, 3)
    x = np.tile(x, (1, 3, 3, 1))
    split = (x, y, np.tile(perfect(x[:, :6, :6]), (1, 3, 3, 1)))
    for dtype in ("float32", "mixed_bfloat16"):
        retrainer = Retrainer((18, 18, 2), epochs=12, batch_size=16, dtype=dtype)
        assert retrainer.model.name == "mnist_classifier"
        assert {str(weight.dtype) for weight in retrainer.model.trainable_variables} == {"float32"}
        kept, removed = roar(split, split, retrainer=retrainer, fractions=(0.2,), repeats=1)[0]
        assert kept > 0.9 > removed


def test_defaults_fit_the_images():
    x, y = problem(20, 3)
    split = (np.tile(x, (1, 3, 3, 1)), y, np.zeros((20, 18, 18, 2)))
    assert roar(split, split, fractions=(1.0,), repeats=1).shape == (1, 2)


def test_images_of_many_features_have_wider_ranks(monkeypatch, retrainer):
    train, test = with_maps(arbitrary)
    few = roar(train, test, retrainer=retrainer, fractions=FRACTIONS, repeats=1)
    monkeypatch.setattr(retraining, "_SMALL_RANKS", 71)
    wide = make_retrainer()
    assert (retrainer.rank_dtype, wide.rank_dtype) == (np.uint16, np.int32) or retrainer.rank_dtype == np.int32
    np.testing.assert_array_equal(roar(train, test, retrainer=wide, fractions=FRACTIONS, repeats=1), few)


def test_area_is_the_mean_accuracy_lost():
    accuracies = np.array([[[1.0, 0.9, 0.5], [0.9, 0.9, 0.5]], [[1.0, 1.0, 1.0], [1.0, 0.8, 0.8]]])
    area = roar_area(accuracies)
    assert area.mean == pytest.approx((0.3 + 0.2 + 0 + 0.2) / 4)
    assert area.per_pair == pytest.approx((0.25, 0.1))
    assert area.over_pairs == pytest.approx(np.std([0.25, 0.1], ddof=1))
    assert area.over_repeats == pytest.approx(np.std([0.15, 0.2], ddof=1))
    one = roar_area(accuracies[0, :1])
    assert one.mean == pytest.approx(0.3)
    assert np.isnan([one.over_pairs, one.over_repeats]).all()
    for wrong in (accuracies[0, 0], accuracies[..., :1], accuracies[None]):
        with pytest.raises(OptionError, match="Expected accuracies"):
            roar_area(wrong)


def test_pairs_of_classes():
    assert class_pairs(10) == [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]
    assert class_pairs(5) == [(0, 1), (2, 3)]
    assert len(set(class_pairs(10, every=True))) == 45
    assert all(first < second for first, second in class_pairs(10, every=True))
    with pytest.raises(OptionError, match="num_classes"):
        class_pairs(1)


def test_images_of_a_pair_are_each_explained_against_the_other():
    x, y = np.arange(6).reshape(6, 1, 1, 1), np.array([3, 1, 2, 3, 0, 1])
    images, origin, target = one_pair(x, y, (1, 3))
    np.testing.assert_array_equal(images.ravel(), [0, 1, 3, 5])
    np.testing.assert_array_equal(origin, [3, 1, 3, 1])
    np.testing.assert_array_equal(target, [1, 3, 1, 3])
    for wrong in ((1, 1), (1, 4), (1, 2, 3)):
        with pytest.raises(LabelError, match="Expected two classes"):
            one_pair(x, y, wrong)


def test_networks_that_cannot_be_compared():
    def logits(input_shape, num_classes, *, seed):
        return keras.Sequential([keras.Input(input_shape), layers.Flatten(), layers.Dense(num_classes)])

    def unseeded(input_shape, num_classes, *, seed):
        stack = [keras.Input(input_shape), layers.Flatten(), layers.Dense(num_classes, "softmax")]
        return keras.Sequential(stack)

    with pytest.raises(ModelError, match=r"Expected a network that returns probabilities.*softmax"):
        make_retrainer(network=logits)
    with pytest.raises(ModelError, match=r"Expected a network whose initial weights.*seed"):
        make_retrainer(network=unseeded)
    with pytest.raises(ModelError, match="probabilities of 3 classes"):
        make_retrainer(num_classes=3, network=lambda shape, classes, *, seed: network(shape, 2, seed=seed))


def test_divergence_is_told(retrainer):
    (x, y, maps), test = with_maps(perfect)
    (train, test), _ = splits_of(retrainer, (x * np.float32(1e38), y, maps), test)
    with pytest.raises(TrainingDivergedError, match="Expected finite losses"):
        retrainer.accuracy(train, test, count=0)


def test_arguments_that_do_not_fit(retrainer):
    train, test = with_maps(arbitrary)
    x, y, maps = train
    cases = [
        (ImageError, "shape", {"train": (x[:, 1:], y, maps)}),
        (ImageError, "Expected attributions", {"test": (*test[:2], test[2][:3])}),
        (LabelError, "classes of train", {"train": (x, y[:3], maps)}),
        (LabelError, "training images of 2 classes", {"train": (x, np.arange(len(x)), maps)}),
        (LabelError, "test images of the same", {"test": (test[0], test[1] + 1, test[2])}),
        (OptionError, "images, classes, maps", {"train": x}),
        (OptionError, "Expected fill", {"fill": (1.0, 2.0, 3.0)}),
        (OptionError, "repeats", {"repeats": 0}),
        (OptionError, "seed", {"seed": -1}),
    ]
    for error, text, changes in cases:
        with pytest.raises(error, match=text):
            roar(**{"train": train, "test": test, "retrainer": retrainer} | changes)
    for fraction in (0, 0.001, 1.1, -0.5):
        with pytest.raises(OptionError, match="Expected fractions"):
            roar(train, test, retrainer=retrainer, fractions=(fraction,))
    for options in ({"dtype": "float16"}, {"learning_rate": 0}, {"epochs": 0}, {"batch_size": 1.5}):
        with pytest.raises(OptionError, match=next(iter(options))):
            make_retrainer(**options)


def test_nothing_removed_leaves_images_alone():
    x = problem(4, 0)[0]
    np.testing.assert_array_equal(remove_top(x, arbitrary(x), 0, 0.5), x)
    np.testing.assert_array_equal(remove_top(x, arbitrary(x), 1, 0.5), np.full_like(x, 0.5))
