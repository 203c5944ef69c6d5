"""A saved GANMEX: what comes back, and what is refused."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

from tf_ganmex.errors import CheckpointError, ModelError, OptionError
from tf_ganmex.gan import load_ganmex


@pytest.fixture
def gan(make_gan):
    gan = make_gan(classification_weight=7.0, adversarial="minimax", discriminator_filters=3, seed=2)
    rng = np.random.default_rng(0)
    for network in (gan.generator, gan.discriminator):
        # No weight is what a new GANMEX of this seed would have.
        network.set_weights([w + rng.normal(0, 0.1, w.shape) for w in network.get_weights()])
    gan.step.assign(2)
    return gan


@pytest.fixture
def saved(gan, tmp_path):
    gan.save(tmp_path / "gan", notes={"dataset": "random", "scores": [1, 2.5]})
    return tmp_path / "gan"


def edit(path, **changes):
    config = json.loads((path / "ganmex.json").read_text())
    (path / "ganmex.json").write_text(json.dumps(config | changes))


def test_everything_comes_back(gan, saved, clf, images, weights_of):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = load_ganmex(saved, classifier=clf)
    np.testing.assert_array_equal(weights_of(again), weights_of(gan))
    np.testing.assert_array_equal(again.generate(images, 1), gan.generate(images, 1))
    assert again.options == gan.options
    assert int(again.step) == 2
    assert again.notes == {"dataset": "random", "scores": [1, 2.5]}


def test_without_the_classifier_it_generates_and_does_not_train(gan, saved, images, labels):
    again = load_ganmex(saved)
    np.testing.assert_array_equal(again.generate(images, 1), gan.generate(images, 1))
    assert again.classifier.class_names == ["class 0", "class 1", "class 2"]
    assert again.classifier.value_range == (0.0, 1.0)
    with pytest.raises(ModelError, match=r"load_ganmex\(path, classifier="):
        again.fit(again.dataset(images, labels), steps_per_epoch=1)


def test_training_goes_on_after_loading(saved, clf, images, labels):
    again = load_ganmex(saved, classifier=clf)
    again.compile(run_eagerly=True)
    again.fit(again.dataset(images, labels, batch_size=4), steps_per_epoch=2, verbose=0)
    assert int(again.step) == 4


def test_saving_what_was_loaded_without_classifier_keeps_all(saved, images, tmp_path):
    load_ganmex(saved).save(tmp_path / "copy")
    assert json.loads((tmp_path / "copy/ganmex.json").read_text()) == json.loads((saved / "ganmex.json").read_text())


def test_config_says_what_it_is(saved):
    config = json.loads((saved / "ganmex.json").read_text())
    assert config["classifier"]["fingerprint"] == "00000000"
    assert config["classifier"]["input_shape"] == [8, 8, 1]
    assert config["options"]["classification_weight"] == 7.0
    assert set(config["versions"]) == {"tf_ganmex", "tensorflow", "keras"}
    assert sorted(path.name for path in saved.iterdir()) == ["discriminator.npz", "ganmex.json", "generator.npz"]


def test_float16_weights_are_smaller_and_near(gan, saved, images, tmp_path):
    gan.save(tmp_path / "half", weights_dtype="float16")
    size, half = ((path / "generator.npz").stat().st_size for path in (saved, tmp_path / "half"))
    assert half < 0.7 * size
    error = load_ganmex(tmp_path / "half").generate(images, 1) - gan.generate(images, 1)
    assert 0 < np.abs(error).mean() < 2e-3


def test_without_discriminator(gan, saved, clf, images):
    gan.save(saved, discriminator=False)
    assert not (saved / "discriminator.npz").exists()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = load_ganmex(saved, classifier=clf)
    np.testing.assert_array_equal(again.generate(images, 1), gan.generate(images, 1))
    with pytest.warns(UserWarning, match="without its discriminator"):
        again.fit(again.dataset(images, np.zeros(len(images), int), batch_size=2), steps_per_epoch=1, verbose=0)


def test_another_classifier_is_warned_of(saved, make_clf):
    with pytest.warns(UserWarning, match="'00000000'.*'00000005'"):
        load_ganmex(saved, classifier=make_clf(seed=5))


@pytest.mark.parametrize(
    "facts",
    [{"input_shape": (12, 12, 1)}, {"num_classes": 4}, {"value_range": (-1.0, 1.0)}],
    ids=lambda f: next(iter(f)),
)
def test_a_classifier_of_another_task_is_refused(saved, make_clf, facts):
    with pytest.raises(CheckpointError, match=next(iter(facts))):
        load_ganmex(saved, classifier=make_clf(**facts))


def test_overwrite(gan, saved, images):
    with pytest.raises(CheckpointError, match="overwrite"):
        gan.save(saved, overwrite=False)
    gan.generator.weights[0].assign(gan.generator.weights[0] * 2)
    gan.save(saved)
    np.testing.assert_array_equal(load_ganmex(saved).generate(images, 1), gan.generate(images, 1))
    assert not list(saved.glob(".*"))


@pytest.mark.parametrize("path", ["nowhere", "."])
def test_a_path_that_is_none(tmp_path, path):
    with pytest.raises(CheckpointError, match=r"ganmex\.json"):
        load_ganmex(tmp_path / path)


def test_a_missing_file(saved):
    (saved / "generator.npz").unlink()
    with pytest.raises(CheckpointError, match=r"generator\.npz"):
        load_ganmex(saved)


@pytest.mark.parametrize("content", [b"", b"PK garbage", None])
def test_a_damaged_weights_file(saved, content):
    path = saved / "generator.npz"
    path.write_bytes(path.read_bytes()[:-50] if content is None else content)
    with pytest.raises(CheckpointError, match=r"generator\.npz.*digest"):
        load_ganmex(saved)


def test_files_of_two_saves_are_not_mixed(gan, saved, make_gan, tmp_path):
    make_gan(discriminator_filters=3).save(tmp_path / "other")
    (saved / "discriminator.npz").write_bytes((tmp_path / "other/discriminator.npz").read_bytes())
    with pytest.raises(CheckpointError, match="digest"):
        load_ganmex(saved)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": "another"}', "\x00\xff"])
def test_a_damaged_config(saved, text):
    (saved / "ganmex.json").write_text(text, encoding="latin-1")
    with pytest.raises(CheckpointError, match=r"ganmex\.json"):
        load_ganmex(saved)


@pytest.mark.parametrize(
    "changes",
    [
        {"options": {"filters": -1}},
        {"options": {"colour": "blue"}},
        {"options": None},
        {"classifier": {}},
        {"classifier": {"value_range": 3}},
        {"files": {}},
        {"step": "two"},
        {"format_version": None},
    ],
    ids=str,
)
def test_a_config_with_wrong_entries(saved, changes):
    edit(saved, **changes)
    with pytest.raises(CheckpointError, match=r"ganmex\.json"):
        load_ganmex(saved)


def test_a_newer_format(saved):
    edit(saved, format_version=99)
    with pytest.raises(CheckpointError, match=r"format_version=99.*newer tf-ganmex"):
        load_ganmex(saved)


def test_weights_of_other_sizes(saved):
    options = json.loads((saved / "ganmex.json").read_text())["options"]
    edit(saved, options=options | {"filters": 8})
    with pytest.raises(CheckpointError, match=r"other .*/"):
        load_ganmex(saved)


def test_a_pickle_is_not_run(saved):
    import hashlib
    import io

    buffer = io.BytesIO()
    np.savez(buffer, evil=np.array([print], dtype=object))
    (saved / "generator.npz").write_bytes(buffer.getvalue())
    files = json.loads((saved / "ganmex.json").read_text())["files"]
    edit(saved, files=files | {"generator.npz": hashlib.sha256(buffer.getvalue()).hexdigest()})
    with pytest.raises(CheckpointError, match="allow_pickle"):
        load_ganmex(saved)


def test_options_that_cannot_be(gan, tmp_path):
    with pytest.raises(OptionError, match="weights_dtype='int8'"):
        gan.save(tmp_path / "a", weights_dtype="int8")
    with pytest.raises(OptionError, match="notes"):
        gan.save(tmp_path / "b", notes={"array": np.zeros(2)})
    (tmp_path / "file").write_text("here")
    with pytest.raises(CheckpointError, match="writable"):
        gan.save(tmp_path / "file")
