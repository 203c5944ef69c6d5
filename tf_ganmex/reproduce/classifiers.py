"""The trained classifiers in one table: ``python -m tf_ganmex.reproduce.classifiers FOLDER --out TABLE.md``.

It reads the ``.json`` files that ``ganmex train-classifier`` writes beside its models, and gives for each the command
that makes it, the accuracy on the test images, and the paper's.
"""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tf_ganmex.errors import DatasetError
from tf_ganmex.files import write_text
from tf_ganmex.training import AUGMENTATIONS, ClassifierRecipe

# Test accuracy in per cent, by the beginning of the dataset's name; GANMEX, appendix A.1.
PAPER = {"mnist": 99.3, "svhn": 90.3, "cifar10": 87.8, "apple": 87.7, "bam": 96.6}
# What the images are where the name does not say it, by the beginning of the dataset's name.
NOTES = {
    "apple_orange": "photographs of apples and oranges in shops, five times as many apples; "
    "not CycleGAN's apple2orange",
    "bam (pizza+elephant": "made by `ganmex prepare-bam --coco COCO --scenes MINIPLACES --objects pizza elephant "
    "--instances all --train-per-class 1000 --test-per-class 200 --min-object-size 60 --seed 3` of COCO's sample of "
    "128 photographs, which holds a single stop sign, hence the elephants; the test images are of objects not trained "
    "on, three in all, and the seed is one whose cut-outs of them looked well",
    "cifar10_jpeg": "CIFAR-10, encoded as JPEG again",
    "digits": "scikit-learn's handwritten digits",
}


def command(facts: dict[str, Any]) -> str:
    """The command that trains a model with these facts; options that are at their defaults are left out."""
    settings = dict(facts["settings"])
    words = ["ganmex", "train-classifier", facts["dataset"].split(" ")[0]]
    if settings.pop("dtype", "float32") == "mixed_bfloat16":
        words.append("--mixed-precision")
    if settings.pop("balanced", False):
        words.append("--balanced")
    if settings.pop("frozen", True) is False:
        words.append("--fine-tune")
    changes = settings.pop("augmentation", None)
    named = [name for name, known in AUGMENTATIONS.items() if changes and known and asdict(known) == changes]
    settings["augmentation"] = named[0] if named else None
    defaults = asdict(ClassifierRecipe()) | {"architecture": "auto", "seed": 0}
    for name, value in settings.items():
        if value != defaults.get(name):
            words += [f"--{name.replace('_', '-')}", *map(str, value if isinstance(value, list) else [value])]
    return shlex.join(words)


def table(models: dict[str, dict[str, Any]]) -> str:
    """A markdown table, a row a model, and below it the command of each."""
    lines = [
        "| model | dataset | classes | training, test images | test accuracy | worst class | paper |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, facts in models.items():
        shares = [share for share in facts["test_accuracy_per_class"] if share is not None]
        worst = facts["class_names"][facts["test_accuracy_per_class"].index(min(shares))]
        paper = next((f"{value} %" for start, value in PAPER.items() if facts["dataset"].startswith(start)), "")
        lines.append(
            f"| {name} | {facts['dataset']} | {len(facts['class_names'])} | {facts['train_images']}, "
            f"{facts['test_images']} | {facts['test_accuracy']:.2%} | {worst}: {min(shares):.2%} | {paper} |"
        )
    commands = [f"- {name}: `{command(facts)}`" for name, facts in models.items()]
    named = {facts["dataset"] for facts in models.values()}
    notes = [f"- {name}: {NOTES[start]}." for name in sorted(named) for start in NOTES if name.startswith(start)]
    return "\n".join([*lines, "", "Made by:", "", *commands, "", "Data:", "", *notes]) + "\n"


def read(folder: Path) -> dict[str, dict[str, Any]]:
    """The facts beside every model in a folder, or in its folders, by the model's name."""
    found = {}
    for path in sorted([*folder.glob("*.json"), *folder.glob("*/classifier.json")]):
        facts = json.loads(path.read_text(encoding="utf-8"))
        if "test_accuracy_per_class" in facts:
            found[path.parent.name if path.name == "classifier.json" else path.stem] = facts
    if not found:
        raise DatasetError(
            f"Expected .json files of ganmex train-classifier. Received: {str(folder)!r} without any. Train a model."
        )
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the table and writes it to a file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="where models and their .json files are")
    parser.add_argument("--out", type=Path, help="where to write the table")
    options = parser.parse_args(arguments)
    text = table(read(options.folder))
    print(text)
    if options.out:
        write_text(options.out, text)


if __name__ == "__main__":
    main()
