"""Pictures during training, and Keras's own callbacks on a GANMEX."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tf_ganmex._backend import keras
from tf_ganmex.errors import ImageError, OptionError, TrainingDivergedError
from tf_ganmex.gan import ImageGrid
from tf_ganmex.gan.callbacks import image_grid


@pytest.fixture
def train(images, labels):
    def run(gan, steps=2, **options):
        # Tracing a graph would take most of the time of these tests.
        gan.compile(run_eagerly=True)
        return gan.fit(gan.dataset(images, labels, batch_size=8), steps_per_epoch=steps, verbose=0, **options)

    return run


def events(directory):
    found = []
    for path in sorted(directory.rglob("events.out.*")):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            found += [(event.step, value.tag) for value in event.summary.value]
    return found


def test_grid_holds_each_input_beside_its_image_for_every_target(make_gan, images):
    gan = make_gan()
    grid = image_grid(gan, images[:2])
    assert grid.shape == (16, 32, 1)
    assert grid.dtype == np.uint8
    for row in range(2):
        cells = [images[row]] + [gan.generate(images[row : row + 1], target)[0] for target in range(3)]
        for column, cell in enumerate(cells):
            shown = grid[8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
            np.testing.assert_allclose(shown, cell * 255, atol=0.51)


def test_grid_covers_the_value_range_and_any_number_of_channels(make_gan, make_clf):
    clf = make_clf(input_shape=(8, 8, 2), value_range=(-1.0, 1.0))
    x = np.full((1, 8, 8, 2), [-1.0, 1.0], np.float32)
    assert (image_grid(make_gan(clf), x)[:, :8] == 128).all()
    clf = make_clf(input_shape=(8, 8, 3), value_range=(-1.0, 1.0))
    x = np.full((1, 8, 8, 3), [-1.0, 0.0, 1.0], np.float32)
    assert (image_grid(make_gan(clf), x)[:, :8] == [0, 128, 255]).all()


def test_image_grid_writes_png_and_tensorboard_image(make_gan, train, images, tmp_path):
    gan = make_gan()
    train(gan, 5, callbacks=[ImageGrid(images[:2], tmp_path, every=2)])
    assert sorted(path.name for path in tmp_path.glob("*.png*")) == ["step_00000002.png", "step_00000004.png"]
    picture = tf.io.decode_png((tmp_path / "step_00000004.png").read_bytes()).numpy()
    assert picture.shape == (16, 32, 1)
    assert [step for step, tag in events(tmp_path) if tag.startswith("inputs and targets")] == [2, 4]


def test_image_grid_refuses_images_before_training(make_gan, train, images, tmp_path):
    gan = make_gan()
    with pytest.raises(ImageError, match=r"x\[None\]"):
        ImageGrid(images[0], tmp_path)
    with pytest.raises(ImageError, match=r"\[0, 1\]"):
        train(gan, callbacks=[ImageGrid(images * 255, tmp_path)])
    assert int(gan.step) == 0
    with pytest.raises(OptionError, match="every"):
        ImageGrid(images, tmp_path, every=0)


def test_keras_tensorboard_writes_the_measures(make_gan, train, tmp_path):
    gan = make_gan()
    train(gan, callbacks=keras.callbacks.TensorBoard(tmp_path, histogram_freq=1))
    tags = {tag for _, tag in events(tmp_path)}
    assert {"epoch_generator_loss", "epoch_target_share", "epoch_distance"} <= tags


@pytest.mark.parametrize("weights_only", [True, False])
def test_keras_model_checkpoint(make_gan, train, images, tmp_path, weights_only):
    from tf_ganmex.gan import load_ganmex

    gan = make_gan()
    path = tmp_path / ("best.weights.h5" if weights_only else "best.keras")
    callback = keras.callbacks.ModelCheckpoint(
        str(path), monitor="distance", mode="min", save_best_only=True, save_weights_only=weights_only
    )
    train(gan, callbacks=[callback])
    again = make_gan(seed=7) if weights_only else load_ganmex(path)
    if weights_only:
        again.compile()
        again.load_weights(path)
    np.testing.assert_array_equal(again.generate(images, 1), gan.generate(images, 1))
    assert int(again.step) == 2


def test_learning_rate_schedules_act_on_the_generator(make_gan, train):
    gan = make_gan()
    train(gan, callbacks=[keras.callbacks.LearningRateScheduler(lambda epoch: 0.125)])
    assert float(gan.generator_optimizer.learning_rate) == 0.125


def test_a_given_callback_list_also_stops_on_divergence(make_gan, make_clf, train):
    clf = make_clf()
    clf.weights = clf.weights * np.nan
    gan = make_gan(clf)
    with pytest.raises(TrainingDivergedError):
        train(gan, callbacks=keras.callbacks.CallbackList([keras.callbacks.History()], model=gan))
