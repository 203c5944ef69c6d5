"""The table of classifiers, and the commands in it."""

from __future__ import annotations

import json
import shlex

import pytest

from tf_ganmex.cli.main import parser
from tf_ganmex.cli.train_classifier import DATA_OPTIONS, _architecture_options, _recipe
from tf_ganmex.errors import DatasetError
from tf_ganmex.reproduce import classifiers

GIVEN = [
    [],
    ["--epochs", "24", "--batch-size", "128", "--augmentation", "objects", "--mixed-precision"],
    ["--architecture", "mobilenet_classifier", "--alpha", "0.25", "--weights", "w.h5", "--balanced", "--fine-tune"],
    ["--image-size", "64", "32", "--classes", "an apple", "orange", "--colored", "class"],
    ["--optimizer", "sgd", "--learning-rate", "0.01", "--validation", "0.1", "--patience", "3", "--seed", "7"],
]


def facts_of(given):
    options = parser().parse_args(["train-classifier", "photos", "--out", "m.keras", *given])
    recipe, extra = _recipe(options), _architecture_options(options)
    settings = {"architecture": options.architecture, "seed": options.seed, **recipe.as_dict(), **extra}
    settings |= {name: getattr(options, name) for name in DATA_OPTIONS if getattr(options, name) is not None}
    return json.loads(json.dumps({"dataset": "photos", "settings": settings}))


@pytest.mark.parametrize("given", GIVEN)
def test_the_command_makes_the_same_settings_again(given):
    facts = facts_of(given)
    words = shlex.split(classifiers.command(facts))
    assert words[:3] == ["ganmex", "train-classifier", "photos"]
    assert facts_of(words[3:]) == facts


def test_a_row_a_model_with_its_worst_class_and_the_papers_figure(tmp_path):
    facts = facts_of([]) | {
        "dataset": "mnist", "class_names": ["a", "b"], "train_images": 9, "test_images": 4, "test_accuracy": 0.75,
        "test_accuracy_per_class": [1.0, 0.5],
    }  # fmt: skip
    (tmp_path / "one.json").write_text(json.dumps(facts))
    (tmp_path / "other.json").write_text("{}")
    classifiers.main([str(tmp_path), "--out", str(tmp_path / "table.md")])
    text = (tmp_path / "table.md").read_text()
    assert "| one | mnist | 2 | 9, 4 | 75.00% | b: 50.00% | 99.3 % |" in text
    assert "- one: `ganmex train-classifier mnist`" in text
    with pytest.raises(DatasetError, match="Train a model"):
        classifiers.read(tmp_path / "nowhere")
