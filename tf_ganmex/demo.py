"""The demonstration: handwritten digits, from training to pictures and a table."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

import tf_ganmex
from tf_ganmex import attributions, baselines, metrics, plotting
from tf_ganmex.classifier import Classifier, load_classifier
from tf_ganmex.datasets import Dataset, load_dataset
from tf_ganmex.errors import OptionError
from tf_ganmex.explanation import explain
from tf_ganmex.files import write_text
from tf_ganmex.gan import GANMEX, load_ganmex
from tf_ganmex.training import ClassifierRecipe, Recipe, save_classifier, train_classifier, train_ganmex

PRETRAINED = Path(tf_ganmex.__file__).parents[1] / "saved_models" / "digits"
CLASSIFIER, GAN = "classifier.keras", "ganmex"
EPOCHS = 30
RECIPE: dict[str, Any] = {"steps": 1500, "learning_rate": 5e-4}
GAN_OPTIONS: dict[str, Any] = {
    "filters": 16, "blocks": 2, "classification_weight": 20.0,
    "similarity_weight": 40.0, "reconstruction_weight": 0.0, "dtype": "float32",
}  # fmt: skip
MEASURED = 50  # test images in the table
SHOWN = 4  # test images in the first picture
FLIPS = 100
OPTIONS: dict[str, dict[str, Any]] = {
    "integrated_gradients": {"steps": 50},
    "deepshap": {"backend": "graph"},
}  # for a table within seconds
TITLES = {
    "gradient": "Gradient",
    "integrated_gradients": "IG",
    "deeplift": "DeepLIFT",
    "deepshap": "DeepSHAP",
    "occlusion": "Occlusion",
}


@dataclass(frozen=True)
class Question:
    """Test images, their predicted classes, and a random other class as the target of each."""

    x: np.ndarray
    origin: np.ndarray
    target: np.ndarray


def run_demo(out: Path, *, models: Path | None = None, pretrained: bool = False, seed: int = 0) -> None:
    """Trains (or loads) a classifier and GANMEX for it, explains test images, and writes what it finds to ``out``.

    Args:
        out: where pictures, table and models go.
        models: where ``pretrained`` models lie; by default those of the repository.
        pretrained: load the models instead of training them.
        seed: of everything random.

    Raises:
        OptionError: if there are no pretrained models.
    """
    data = load_dataset("digits")
    with stage(f"digits: {len(data.x_train)} training and {len(data.x_test)} test images of 28 x 28"):
        clf, gan = _load(models or PRETRAINED, data) if pretrained else _train(out, data, seed)
    accuracy = (clf.predict(data.x_test) == data.y_test).mean()
    print(f"classifier: {accuracy:.1%} of the test images right")
    question = ask(clf, data, MEASURED, seed)
    compared: dict[str, Callable] = {
        "zero": baselines.zero(),
        "maximum": baselines.maximum(),
        "blurred": baselines.blurred(),
        "random": baselines.random_sample(data.x_train, data.y_train, seed=seed),
        "MDTS": baselines.nearest(data.x_train, data.y_train),
        "GANMEX": gan.generate,
    }
    with stage("explaining"):
        table = measure(clf, question, compared)
        draw_baselines(clf, question, compared, out / "baselines.png")
        draw_methods(clf, question, compared, out / "methods.png")
        draw_targets(clf, question, gan.generate, out / "targets.png")
    write_text(out / "table.md", table)
    print("\n" + table)
    print(
        "pictures and table: "
        + ", ".join(str(out / n) for n in ("baselines.png", "methods.png", "targets.png", "table.md"))
    )


def ask(clf: Classifier, data: Dataset, count: int, seed: int) -> Question:
    """The first ``count`` test images that the classifier gets right, each against a random other class."""
    predicted = clf.predict(data.x_test)
    chosen = np.flatnonzero(predicted == data.y_test)[:count]
    others = np.random.default_rng(seed).integers(1, clf.num_classes, len(chosen))
    origin = predicted[chosen]
    return Question(data.x_test[chosen], origin, (origin + others) % clf.num_classes)


def _load(models: Path, data: Dataset) -> tuple[Classifier, GANMEX]:
    if not (models / CLASSIFIER).exists():
        raise OptionError(
            f"Expected {CLASSIFIER} and {GAN}/ in {models}. Received: no such file. Give their folder with --models, "
            "or leave out --pretrained."
        )
    clf = load_classifier(models / CLASSIFIER, class_names=data.class_names)
    return clf, load_ganmex(models / GAN, clf)


def _train(out: Path, data: Dataset, seed: int) -> tuple[Classifier, GANMEX]:
    recipe = ClassifierRecipe(epochs=EPOCHS)
    model = train_classifier(data, recipe=recipe, seed=seed, verbose=0)
    settings = {"architecture": "auto", "seed": seed, **recipe.as_dict()}
    save_classifier(model, data, out / CLASSIFIER, settings)
    clf = load_classifier(model, class_names=data.class_names)
    print(f"classifier trained: {out / CLASSIFIER}; now GANMEX, {RECIPE['steps']} steps", flush=True)
    gan = train_ganmex(clf, data, out / "training", recipe=Recipe(**RECIPE), every=250, seed=seed, **GAN_OPTIONS)
    gan.save(out / GAN, weights_dtype="float16", discriminator=False, notes={"dataset": data.name, "seed": seed})
    return clf, gan


# --- the table --------------------------------------------------------------------------------------------------------


def measure(clf: Classifier, question: Question, compared: dict[str, Callable]) -> str:
    """A markdown table, a row a baseline: share classified as the target, distance, AOPC of every method."""
    x, origin, target = question.x, question.origin, question.target
    rows = []
    for name, baseline in track(list(compared.items()), description="baselines × methods", transient=True):
        images = np.asarray(baseline(x, target))
        share = (clf.predict(images) == target).mean()
        distance = np.sqrt(((images - x) ** 2).sum((1, 2, 3))).mean()
        areas = [
            _area(clf, question, _maps(clf, question, method, images)) for method in TITLES if method != "gradient"
        ]
        rows.append([name, f"{share:.0%}", f"{distance:.2f}", *(f"{area:.3f}" for area in areas)])
    samples = compared["random"]
    expected = attributions.expected_gradients(clf, x, origin, target, samples, steps=50)
    gradient = attributions.gradient(clf, x, origin, target)
    heads = ["baseline", "classified as target", "L2 distance"] + [
        f"AOPC {TITLES[m]}" for m in TITLES if m != "gradient"
    ]
    lines = [heads, ["---"] * len(heads), *rows]
    note = (
        f"{len(x)} test images, each against a random other class; AOPC over {FLIPS} flips, higher is better. "
        "MDTS is the nearest training image of the target class. "
        f"Without a single baseline: gradient {_area(clf, question, gradient):.3f}, expected gradients "
        f"{_area(clf, question, expected):.3f}."
    )
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + f"\n\n{note}\n"


def _maps(clf: Classifier, question: Question, method: str, images: np.ndarray) -> np.ndarray:
    function: Any = getattr(attributions, method)
    arguments = () if method == "gradient" else (images,)
    return function(clf, question.x, question.origin, question.target, *arguments, **OPTIONS.get(method, {}))


def _area(clf: Classifier, question: Question, maps: np.ndarray) -> float:
    curve = metrics.perturbation_curve(clf, question.x, maps, question.origin, question.target, flips=FLIPS)
    return float(metrics.aopc(curve, FLIPS).mean())


# --- the pictures -----------------------------------------------------------------------------------------------------


def draw_baselines(clf: Classifier, question: Question, compared: dict[str, Callable], path: Path) -> None:
    """For a few images a row of baselines and a row of their IG maps (as Figures 2 and 4 of the paper)."""
    rows, titles = [], []
    for index in range(SHOWN):
        x, o, t = question.x[index : index + 1], question.origin[index], question.target[index]
        images = [np.asarray(baseline(x, np.array([t])))[0] for baseline in compared.values()]
        maps = [attributions.integrated_gradients(clf, x, int(o), int(t), image)[0] for image in images]
        rows += [[x[0], *images], [None, *(("map", m) for m in maps)]]
        titles += [f"{clf.class_names[o]} → {clf.class_names[t]}", "IG"]
    plotting.save_figure(plotting.plot_grid(rows, ["input", *compared], titles), path)


def draw_methods(clf: Classifier, question: Question, compared: dict[str, Callable], path: Path) -> None:
    """One image: every method (rows) with every baseline (columns)."""
    x, o, t = question.x[:1], int(question.origin[0]), int(question.target[0])
    images = [np.asarray(baseline(x, np.array([t]))) for baseline in compared.values()]
    one = Question(x, np.array([o]), np.array([t]))
    rows: list[list[Any]] = [[x[0], *(image[0] for image in images)]]
    for method in TITLES:
        maps = [_maps(clf, one, method, image)[0] for image in images[: 1 if method == "gradient" else None]]
        rows.append([None, *(("map", m) for m in maps), *[None] * (len(images) - len(maps))])
    expected = attributions.expected_gradients(clf, x, o, t, compared["random"])[0]
    column = list(compared).index("random")
    rows.append([None, *[None] * column, ("map", expected), *[None] * (len(images) - column - 1)])
    titles = [f"{clf.class_names[o]} → {clf.class_names[t]}", *TITLES.values(), "EG"]
    plotting.save_figure(plotting.plot_grid(rows, ["input", *compared], titles), path)


def draw_targets(clf: Classifier, question: Question, generate: Callable, path: Path, *, count: int = 3) -> None:
    """A few images against every other class, with GANMEX baselines (as the paper's Figure 9)."""
    every = list(range(clf.num_classes))
    chosen = [int(np.flatnonzero(question.origin == c)[0]) for c in np.unique(question.origin)[:count]]
    images = np.zeros((count, clf.num_classes, *question.x.shape[1:]), np.float32)
    maps = {TITLES[method]: images.copy() for method in ("integrated_gradients", "deeplift")}
    for row, index in enumerate(chosen):
        origin = int(question.origin[index])
        others = [c for c in every if c != origin]
        x = np.repeat(question.x[index : index + 1], len(others), 0)
        for method in ("integrated_gradients", "deeplift"):
            e = explain(clf, x, target=np.array(others), origin=origin, baseline=generate, method=method)
            images[row, others], maps[TITLES[method]][row, others] = e.baseline, e.attributions
    figure = plotting.plot_targets(
        question.x[chosen], question.origin[chosen], images, maps, every, class_names=clf.class_names
    )
    plotting.save_figure(figure, path)


@contextmanager
def stage(title: str) -> Iterator[None]:
    """Prints a line before, and the time it took after."""
    print(f"== {title}", flush=True)
    start = time.monotonic()
    yield
    print(f"   {time.monotonic() - start:.0f} s", flush=True)
