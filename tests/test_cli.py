"""The command line: answers fast, works end to end on small settings, and fails in one line with exit code 2."""

from __future__ import annotations

import dataclasses
import io
import json
import subprocess
import sys
import time
import warnings
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

import tf_ganmex as gx
from tf_ganmex.cli import main
from tf_ganmex.cli.main import parser
from tf_ganmex.cli.training_options import training_settings

COMMANDS = [
    "demo",
    "prepare-bam",
    "train-classifier",
    "test-classifier",
    "train",
    "scan",
    "convert",
    "explain",
    "evaluate",
]


def python(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    """A classifier and a GANMEX of a few steps, made by the command line."""
    folder = tmp_path_factory.mktemp("models")
    classifier = folder / "digits.keras"
    assert main(["train-classifier", "digits", "--out", str(classifier), "--epochs", "2"]) == 0
    assert main(train_arguments(classifier, folder / "gan", steps=4)) == 0
    return folder


def train_arguments(classifier: Path, out: Path, *, steps: int) -> list[str]:
    sizes = ["--filters", "4", "--blocks", "1", "--batch-size", "4", "--steps", str(steps), "--every", "2"]
    return ["train", str(classifier), "digits", "--out", str(out), *sizes]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_answers_within_a_second_and_shows_an_example(command):
    start = time.monotonic()
    result = python("-X", "importtime", "-c", f"from tf_ganmex.cli import main; main(['{command}', '--help'])")
    assert time.monotonic() - start < 3  # generous: the machine may be busy; the import list below is the real check
    assert result.returncode == 0 and f"ganmex {command}" in result.stdout.split("examples:")[1]
    for module in ("tensorflow", "keras", "numpy", "matplotlib"):
        assert f" {module}\n" not in result.stderr, f"{module} was imported for --help"


def test_a_classifier_is_written_with_its_facts_and_without_optimizer(models):
    facts = json.loads((models / "digits.json").read_text())
    clf = gx.load_classifier(models / "digits.keras")
    data = gx.load_dataset("digits")
    assert facts["test_accuracy"] == pytest.approx((clf.predict(data.x_test) == data.y_test).mean(), abs=1e-4)
    assert facts["settings"]["epochs"] == 2 and facts["versions"]["tensorflow"]
    with zipfile.ZipFile(models / "digits.keras") as archive:
        weights = h5py.File(io.BytesIO(archive.read("model.weights.h5")))
    assert "optimizer" not in weights
    assert {path.name for path in models.iterdir()} == {"digits.keras", "digits.json", "gan"}  # nothing temporary left


def test_a_model_is_tested_and_its_facts_brought_up_to_date(models, tmp_path, capsys):
    facts = json.loads((models / "digits.json").read_text())
    (tmp_path / "facts.json").write_text(json.dumps(facts | {"test_accuracy": 0.0, "confusion_matrix": []}))
    arguments = ["test-classifier", str(models / "digits.keras"), "digits"]
    assert main([*arguments, "--facts", str(tmp_path / "facts.json")]) == 0
    assert json.loads((tmp_path / "facts.json").read_text()) == facts
    assert f"test accuracy {facts['test_accuracy']:.4f}" in capsys.readouterr().out


def test_training_goes_on_where_it_stopped_and_ends_the_same(models, tmp_path):
    assert main(train_arguments(models / "digits.keras", tmp_path / "gan", steps=2)) == 0
    assert gx.load_ganmex(tmp_path / "gan").step.numpy() == 2
    assert main(train_arguments(models / "digits.keras", tmp_path / "gan", steps=4)) == 0
    again = gx.load_ganmex(tmp_path / "gan")
    assert again.step.numpy() == 4
    assert list((tmp_path / "gan" / "pictures").glob("*.png"))


def test_tfgans_estimator_trains_and_goes_on_where_it_stopped(models, tmp_path, capsys):
    def arguments(steps):
        trainer = ["--trainer", "estimator", "--schedule", "1:2"]
        return [*train_arguments(models / "digits.keras", tmp_path / "gan", steps=steps), *trainer]

    assert main(arguments(2)) == 0
    assert main(arguments(4)) == 0
    gan = gx.load_ganmex(tmp_path / "gan")
    assert (int(gan.step), gan.options.schedule, gan.notes["trainer"]) == (4, (1, 2), "estimator")
    lines = (tmp_path / "gan" / "history.csv").read_text().splitlines()
    assert lines[0].startswith("epoch,") and [line.split(",")[0] for line in lines[1:]] == ["0", "1"]
    assert (tmp_path / "gan" / "pictures" / "step_00000004.png").exists()
    assert "step 4/4 - " in capsys.readouterr().out
    assert main([*arguments(4), "--tensorboard", str(tmp_path / "board")]) == 2
    assert "--tensorboard" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "recipe", "settings"),
    [
        ([], {"learning_rate": 3e-4, "decay": "cosine"}, {"classification_weight": 20.0}),
        (
            ["--preset", "apple2orange"],
            {"per_class": 6, "learning_rate": 2e-5, "discriminator_learning_rate": 1e-4, "decay": "constant"},
            {"classification_weight": 1000.0, "similarity_weight": 100.0, "schedule": (1, 1)},
        ),
        (
            ["--preset", "apple2orange-cw100", "--batch-size", "8", "--similarity-weight", "7", "--stand-alone"],
            {"per_class": None, "batch_size": 8, "betas": (0.9, 0.999), "epsilon": 1e-8},
            {"similarity_weight": 7.0, "schedule": (1, 2), "class_discriminator": "joint"},
        ),
        (["--schedule", "joint", "--betas", "0", "0.9"], {"betas": (0.0, 0.9)}, {"schedule": "joint"}),
    ],
)
def test_what_is_given_goes_before_the_preset_and_that_before_the_defaults(given, recipe, settings):
    options = parser().parse_args(["train", "model.keras", "digits", "--out", "gan", *given])
    chosen, made = training_settings(options)
    assert recipe.items() <= dataclasses.asdict(chosen).items()
    assert settings.items() <= made.items()


def test_explaining_test_images_writes_pictures_and_arrays(models, tmp_path, capsys):
    arguments = ["explain", str(models / "digits.keras"), "--dataset", "digits", "--indices", "0-2", "--target", "all"]
    methods = ["--method", "deeplift", "gradient"]
    code = main([*arguments, *methods, "--baseline", str(models / "gan"), "--out", str(tmp_path)])
    assert code == 0
    e = gx.load_explanation(tmp_path / "deeplift_to_3.npz")
    data = gx.load_dataset("digits")
    gan = gx.load_ganmex(models / "gan")
    np.testing.assert_allclose(e.baseline, gan.generate(e.x, 3), atol=1e-6)
    assert all(any(np.array_equal(image, x) for x in data.x_test[:3]) for image in e.x)
    assert (e.origin != 3).all() and (e.target == 3).all()
    assert {p.name for p in tmp_path.glob("targets_*.png")} == {f"targets_test_{i}.png" for i in range(3)}
    assert "deeplift_to_3" in capsys.readouterr().out


def test_explaining_an_image_file_resizes_it_and_says_so(models, tmp_path, capsys):
    photo = tmp_path / "a photo.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)).save(photo)
    clf = gx.load_classifier(models / "digits.keras")
    target = "1"
    out = tmp_path / "out"
    arguments = ["explain", str(models / "digits.keras"), str(photo), "--target", target, "--out", str(out)]
    code = main([*arguments, "--origin", "2", "--method", "integrated_gradients", "--steps", "5"])
    assert code == 0
    e = gx.load_explanation(out / "integrated_gradients_to_1.npz")
    assert e.x.shape == (1, *clf.input_shape) and e.origin.tolist() == [2]
    assert "40 x 60" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["explain", "nowhere.keras", "x.png", "--target", "1"], "does not exist"),
        (["explain", "MODEL", "nowhere.png", "--target", "1"], "nowhere.png"),
        (["explain", "MODEL", "--target", "1"], "image files"),
        (["explain", "MODEL", "--dataset", "digits", "--target", "pear"], "pear"),
        (["explain", "MODEL", "--dataset", "digits", "--target", "1", "--indices", "5000"], "5000"),
        (["explain", "MODEL", "--dataset", "digits", "--target", "1", "--baseline", "nowhere"], "nowhere"),
        (["explain", "MODEL", "--dataset", "digits", "--target", "9", "--origin", "9"], "other than"),
        (["explain", "MODEL", "x.png", "--indices", "1", "--target", "1"], "both"),
        (["explain", "MODEL", "--dataset", "digits", "--target", "1", "--rule", "simpson"], "simpson"),
        (["train", "MODEL", "nowhere.npz", "--out", "x"], "nowhere.npz"),
        (["train", "MODEL", "digits", "--out", "x", "--steps", "750"], "750"),
        (["train-classifier", "digits", "--out", "x.onnx"], ".keras"),
        (["train-classifier", "digits", "--out", "x.keras", "--architecture", "vgg"], "vgg"),
        (["demo", "--pretrained", "--models", "nowhere"], "nowhere"),
        (["train", "MODEL", "digits", "--out", "g", "--learning-rate", "-1"], "learning_rate=-1.0"),
        (["train", "MODEL", "digits", "--out", "g", "--betas", "1", "2"], "betas=(1.0, 2.0)"),
        (["train", "MODEL", "digits", "--out", "g", "--trainer", "estimator", "--schedule", "joint"], "--schedule 1:1"),
        (["train", "MODEL", "digits", "--out", "g", "--batch-size", "4", "--per-class", "2"], "one of batch_size and"),
        (["train", "MODEL", "digits", "--out", "file/g", "--trainer", "estimator"], "file/g"),
        (["train", "MODEL", "digits", "--out", "file/g"], "file/g"),
        (["test-classifier", "MODEL", "digits", "--classes", "4", "9"], "2, ['4', '9']"),
        (["test-classifier", "MODEL", "digits", "--facts", "nowhere.json"], "nowhere.json"),
        (["test-classifier", "MODEL", "digits", "--facts", "file"], "Expecting value"),
        (["convert", ".", "--model", "MODEL", "--out", "g"], "ganmex.json"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(models, tmp_path, monkeypatch, capsys, arguments, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("in the way")
    code = main([str(models / "digits.keras") if word == "MODEL" else word for word in arguments])
    errors = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert code == 2 and len(errors) == 1 and expected in errors[0]
    assert not (tmp_path / "g").exists()


@pytest.mark.parametrize("arguments", [["explain"], ["explain", "m", "--method", "magic"], ["dance"], []])
def test_a_wrong_command_line_is_one_line_and_exit_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    assert exit_info.value.code == 2 and capsys.readouterr().err.count("\n") == 1


def test_a_warning_is_a_note_without_the_line_of_code(models, monkeypatch, tmp_path, capsys):
    def warned(*_, **__):
        warnings.warn("The images are small.\nTheir maps are coarse.", UserWarning, stacklevel=1)
        raise KeyboardInterrupt

    monkeypatch.setattr("tf_ganmex.training.train_ganmex", warned)
    assert main(train_arguments(models / "digits.keras", tmp_path / "gan", steps=2)) == 130
    lines = capsys.readouterr().err.splitlines()
    assert "note: The images are small. Their maps are coarse." in lines and not any("test_cli.py" in x for x in lines)


def test_an_interruption_is_said_in_one_line(models, monkeypatch, tmp_path, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("tf_ganmex.training.train_ganmex", interrupted)
    assert main(train_arguments(models / "digits.keras", tmp_path / "gan", steps=2)) == 130
    assert "kept" in capsys.readouterr().err
