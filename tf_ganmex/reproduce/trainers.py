"""Trains the same GANMEX with each trainer, side by side: ``python -m tf_ganmex.reproduce.trainers --help``.

Where they update the networks in turn, the Keras trainer and TF-GAN's StarGANEstimator compute the same thing from the
same batches, and differ by rounding, which Adam amplifies. How much it does shows in one more training, with Keras's
trainer from initial weights that are the next float32 numbers ("nudged").
"""

from __future__ import annotations

import argparse
import csv
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

import tf_ganmex
from tf_ganmex._backend import keras
from tf_ganmex.classifier import load_classifier
from tf_ganmex.datasets import Dataset, load_dataset
from tf_ganmex.errors import OptionError
from tf_ganmex.files import replaced, write_text
from tf_ganmex.gan import GANMEX, estimator
from tf_ganmex.gan.ganmex import BETAS
from tf_ganmex.gan.steps import METRICS
from tf_ganmex.gan.tfgan.loading import import_tfgan
from tf_ganmex.gan.tfgan.progress import MeasuresHook

MODELS = Path(tf_ganmex.__file__).parents[1] / "saved_models"
SIZES: dict[str, dict[str, int]] = {"digits": {"filters": 16, "blocks": 2}, "mnist": {"filters": 32, "blocks": 3}}
# Those of `ganmex train`.
WEIGHTS: dict[str, Any] = {"classification_weight": 20, "similarity_weight": 60, "reconstruction_weight": 0}
TRAINERS = JOINT, KERAS, TFGAN, NUDGED = "Keras joint", "Keras 1:1", "TF-GAN 1:1", "Keras 1:1, nudged"
LIMIT = 1000  # test images
EARLY = 10  # reports, before rounding has grown


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What all trainers are given, beside Adam with a constant learning rate; `every` is steps between two reports."""

    steps: int = 300
    every: int = 10
    batch_size: int = 32
    learning_rate: float = 3e-4
    filters: int = 16
    blocks: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        """OptionError for steps that are not two reports or more."""
        if self.every < 1 or self.steps % self.every or self.steps < 2 * self.every:
            given = f"steps={self.steps}, every={self.every}"
            raise OptionError(f"Expected steps to be every times 2, 3, or more. Received: {given}. Take 300 and 10.")


@dataclass
class Training:
    """What one training showed: its reports, and when they came, in seconds since it was asked for."""

    reports: list[dict[str, float]] = field(default_factory=list)
    first_step: float | None = None
    start: float = field(default_factory=time.perf_counter)
    images: np.ndarray = field(default_factory=lambda: np.empty(0))

    def step_done(self) -> None:
        """Notes when the first step is done."""
        self.first_step = self.first_step or time.perf_counter() - self.start

    def report(self, step: int, means: dict[str, float]) -> None:
        """Notes the means of the steps since the last report."""
        seconds = round(time.perf_counter() - self.start, 3)
        self.reports.append({"step": step, "seconds": seconds} | {name: float(means[name]) for name in METRICS})

    def curve(self, name: str) -> np.ndarray:
        """One value a report."""
        return np.array([report[name] for report in self.reports])


def run(name: str, out: Path, setting: Setting, *, data_dir: Path | None = None) -> None:
    """Trains with every trainer for a classifier of saved_models; prints NAME.md and writes it, NAME.csv and NAME.png.

    Args:
        name: of the dataset: "digits" or "mnist".
        out: the directory to write to.
        setting: what all trainers are given.
        data_dir: where the dataset's files are.
    """
    data = load_dataset(name, data_dir=data_dir)
    clf = load_classifier(MODELS / name / "classifier.keras", class_names=data.class_names)
    x, y = data.x_test[:LIMIT], data.y_test[:LIMIT]
    target = (y + np.random.default_rng(setting.seed).integers(1, clf.num_classes, len(y))) % clf.num_classes
    import_tfgan()  # also for its losses in Keras's trainer: the first training would pay for it
    trainings = {}
    for trainer in TRAINERS:
        print(f"{trainer} ...", flush=True)
        options = WEIGHTS | {"filters": setting.filters, "blocks": setting.blocks, "seed": setting.seed}
        gan = GANMEX(clf, schedule="joint" if trainer == JOINT else (1, 1), **options)
        if trainer == NUDGED:
            gan.set_weights([np.nextafter(w, np.inf, dtype=w.dtype) if w.ndim else w for w in gan.get_weights()])
        trainings[trainer] = (with_tfgan if trainer == TFGAN else with_keras)(gan, data, setting)
        trainings[trainer].images = gan.generate(x, target)
    shares = {trainer: (clf.predict(training.images) == target).mean() for trainer, training in trainings.items()}
    text = "\n\n".join([_what(name, setting), _table(trainings, shares, x), _differences(trainings)]) + "\n"
    write_text(out / f"{name}.md", text)
    with replaced(out / f"{name}.csv") as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["trainer", "step", "seconds", *METRICS], lineterminator="\n")
        writer.writeheader()
        writer.writerows({"trainer": t} | row for t, training in trainings.items() for row in training.reports)
    draw(trainings, f"{name}: means of every {setting.every} steps, by step", out / f"{name}.png")
    print(text)


def with_keras(gan: GANMEX, data: Dataset, setting: Setting) -> Training:
    """Trains with Keras's `fit`."""
    training = Training()
    gan.compile(*(keras.optimizers.Adam(setting.learning_rate, *BETAS, epsilon=1e-7) for _ in range(2)))
    callback = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: training.step_done(),
        on_epoch_end=lambda epoch, logs: training.report((epoch + 1) * setting.every, logs),
    )
    gan.fit(
        gan.dataset(data.x_train, data.y_train, batch_size=setting.batch_size, seed=setting.seed),
        steps_per_epoch=setting.every,
        epochs=setting.steps // setting.every,
        callbacks=[callback],
        verbose=0,
    )
    return training


def with_tfgan(gan: GANMEX, data: Dataset, setting: Setting) -> Training:
    """Trains with TF-GAN's StarGANEstimator, which saves checkpoints at the beginning and at the end alone."""
    training = Training()
    adam = estimator.adam(setting.learning_rate, BETAS, 1e-7)
    config = estimator.RunConfig(
        tf_random_seed=setting.seed, save_checkpoints_steps=setting.steps, save_summary_steps=0, log_step_count_steps=0
    )
    images = estimator.input_fn(gan, data.x_train, data.y_train, batch_size=setting.batch_size, seed=setting.seed)
    with tempfile.TemporaryDirectory() as folder:
        stargan = estimator.stargan(gan, folder, generator_optimizer=adam, discriminator_optimizer=adam, config=config)
        measures = MeasuresHook(setting.every, lambda step, means, session: training.report(step, means))
        stargan.train(images, hooks=[_StepDone(training), measures], max_steps=setting.steps)
        estimator.load(gan, stargan.latest_checkpoint())
    return training


@dataclass(eq=False)
class _StepDone(tf.compat.v1.train.SessionRunHook):
    training: Training

    def after_run(self, run_context: Any, run_values: Any) -> None:
        self.training.step_done()


def relative_difference(a: np.ndarray, b: np.ndarray) -> float:
    """The largest |a - b| / max(|a|, |b|) of two curves, 0 where both are 0."""
    return float((np.abs(a - b) / np.maximum(np.maximum(np.abs(a), np.abs(b)), 1e-30)).max())


def _what(name: str, setting: Setting) -> str:
    settings = ", ".join(f"{option} {value:g}" for option, value in {**asdict(setting), **WEIGHTS}.items())
    return (
        f"`python -m tf_ganmex.reproduce.trainers {name} --steps {setting.steps} --every {setting.every} --seed "
        f"{setting.seed}`: {settings.replace('_', ' ')}; Adam with constant learning rates, float32. {os.cpu_count()} "
        f"cores, TensorFlow {tf.__version__}, Keras {keras.__version__}, TF-GAN {import_tfgan().__version__}."
    )


def _table(trainings: dict[str, Training], shares: dict[str, float], x: np.ndarray) -> str:
    lines = ["| trainer | to target | L2 distance | generator loss | discriminator loss | steps/s | first step |"]
    lines.append("| --- | --- | --- | --- | --- | --- | --- |")
    for trainer, training in trainings.items():
        distance, last = np.sqrt(((training.images - x) ** 2).sum((1, 2, 3))).mean(), training.reports[-1]
        rate = np.median(np.diff(training.curve("step")) / np.diff(training.curve("seconds")))
        lines.append(
            f"| {trainer} | {shares[trainer]:.2%} | {distance:.3f} | {last['generator_loss']:.4f} "
            f"| {last['discriminator_loss']:.4f} | {rate:.2f} | {training.first_step:.1f} s |"
        )
    return "\n".join(lines) + (
        f"\n\nTo target: share that the classifier calls its target, of {len(x)} test images, each with a random other "
        "class as target. L2 distance: mean, from the image. Losses: means of the last report. Steps/s: between two "
        "reports, the median, without checkpoints. First step: with all that is built for it. Joint: one batch a step "
        "for both networks; 1:1: one for each. Nudged: from initial weights that are the next float32 numbers."
    )


def _differences(trainings: dict[str, Training]) -> str:
    first = trainings[KERAS]
    compared = [(trainings[trainer], part) for trainer in (TFGAN, NUDGED) for part in (slice(EARLY), slice(None))]
    lines = [
        f"How far curves part from those of {KERAS}, as the largest |a − b| / max(|a|, |b|) of a report:\n",
        f"| measure | {TFGAN}, first {EARLY} reports | all {len(first.reports)} | nudged, first {EARLY} | all |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name in METRICS:
        values = [relative_difference(first.curve(name)[part], other.curve(name)[part]) for other, part in compared]
        lines.append(f"| {name.replace('_', ' ')} | {' | '.join(f'{value:.1e}' for value in values)} |")
    apart = {trainer: np.abs(trainings[trainer].images - first.images) for trainer in (TFGAN, NUDGED, JOINT)}
    pixels = [f"{trainer} by up to {a.max():.2g}, on average {a.mean():.2g}" for trainer, a in apart.items()]
    return "\n".join([*lines, f"\nPixels of the generated images part from those of {KERAS}: {'; '.join(pixels)}."])


def draw(trainings: dict[str, Training], title: str, path: Path) -> None:
    """One panel a measure, one line a trainer; TF-GAN's is thin and dashed, for it lies on Keras's."""
    from matplotlib.figure import Figure

    from tf_ganmex.plotting import save_figure

    figure = Figure(figsize=(9, 6.4), layout="constrained")
    styles: dict[str, dict[str, Any]] = {
        JOINT: {"color": "#e69f00", "linewidth": 1.3},
        KERAS: {"color": "#9ecae9", "linewidth": 2.6},
        TFGAN: {"color": "#08306b", "linewidth": 1.1, "linestyle": (0, (4, 2))},
    }
    for axes, measure in zip(figure.subplots(3, 3, sharex=True).flat, METRICS, strict=True):
        for trainer, style in styles.items():
            axes.plot(trainings[trainer].curve("step"), trainings[trainer].curve(measure), label=trainer, **style)
        axes.set_title(measure.replace("_", " "), fontsize=9)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, fontsize=11, fontweight="bold")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    save_figure(figure, path, dpi=110)


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line and runs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("dataset", choices=list(SIZES))
    parser.add_argument("--data-dir", type=Path, help="where the dataset's files are")
    parser.add_argument("--steps", type=int, default=300, help="of each training (default: %(default)s)")
    parser.add_argument("--every", type=int, default=10, help="steps between two reports (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of everything random (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("docs/results/trainers"), help="(default: %(default)s)")
    options = parser.parse_args(arguments)
    setting = Setting(steps=options.steps, every=options.every, seed=options.seed, **SIZES[options.dataset])
    run(options.dataset, options.out, setting, data_dir=options.data_dir)


if __name__ == "__main__":
    main()
