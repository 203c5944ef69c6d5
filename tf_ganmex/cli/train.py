"""Train a GANMEX generator for a classifier."""

from __future__ import annotations

import argparse
from pathlib import Path

from tf_ganmex.cli.common import (
    add_classifier_options,
    add_dataset_options,
    import_tensorflow,
    keras_progress,
    positive,
    read_classifier,
    read_dataset,
    say,
)

EXAMPLES = """examples:
  ganmex train digits.keras digits --steps 1500 --filters 16 --blocks 2 --out digits_ganmex
  ganmex train mnist.keras mnist --data-dir ~/data --filters 32 --blocks 3 --mixed-precision --out mnist_ganmex
  ganmex train savedmodel/ photos.npz --out photos_ganmex      (the published network sizes)

Run the same command again after an interruption: it goes on from the last checkpoint.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("model", help="a .keras or .h5 file or a SavedModel directory")
    parser.add_argument("dataset", help="a name (digits, mnist, ...), or an .npz, image folder, zip or tar")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="where to write GANMEX, checkpoints, pictures"
    )
    parser.add_argument("--steps", type=positive, default=10_000, help="training steps (default: 10000)")
    parser.add_argument("--batch-size", type=positive, default=32, help="images a step (default: 32)")
    parser.add_argument(
        "--learning-rate", type=float, default=3e-4, help="of both networks, at the start (default: 0.0003)"
    )
    parser.add_argument("--classification-weight", type=float, default=20.0, help="λ_cls of Eq. 9 (default: 20)")
    parser.add_argument("--similarity-weight", type=float, default=60.0, help="λ_sim of Eq. 9 (default: 60)")
    parser.add_argument("--reconstruction-weight", type=float, default=0.0, help="λ_rec of Eq. 9 (default: 0)")
    parser.add_argument("--gradient-penalty-weight", type=float, default=10.0, help="(default: 10)")
    parser.add_argument(
        "--adversarial", default="wasserstein", choices=["wasserstein", "minimax"], help="(default: wasserstein)"
    )
    parser.add_argument(
        "--filters", type=positive, default=64, help="of the first convolution (default: 64, as published)"
    )
    parser.add_argument("--blocks", type=positive, default=6, help="residual blocks (default: 6, as published)")
    parser.add_argument("--mixed-precision", action="store_true", help="bfloat16 layers: faster on recent processors")
    parser.add_argument(
        "--every", type=positive, default=500, help="steps between checkpoints and pictures (default: 500)"
    )
    parser.add_argument("--tensorboard", type=Path, metavar="DIR", help="also write TensorBoard scalars there")
    parser.add_argument(
        "--float16", action="store_true", help="write the weights in half precision, for a smaller file"
    )
    parser.add_argument("--without-discriminator", action="store_true", help="write what explaining needs, no more")
    parser.add_argument("--seed", type=int, default=0, help="of weights, batches and targets (default: 0)")
    add_dataset_options(parser)
    add_classifier_options(parser)


def run(options: argparse.Namespace) -> None:
    """Trains and writes the GANMEX directory."""
    import_tensorflow()
    from tf_ganmex._backend import keras
    from tf_ganmex.training import in_value_range, train_ganmex

    data = read_dataset(options, options.dataset)
    clf = read_classifier(options, guessed=data.class_names)
    predicted = clf.predict(in_value_range(data.x_test, clf.value_range))
    say(f"{options.model}: accuracy {(predicted == data.y_test).mean():.4f} on {len(predicted)} test images")
    callbacks = [keras.callbacks.TensorBoard(options.tensorboard)] if options.tensorboard else []
    gan = train_ganmex(
        clf,
        data,
        options.out,
        steps=options.steps,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        every=options.every,
        seed=options.seed,
        callbacks=callbacks,
        verbose=keras_progress(),
        classification_weight=options.classification_weight,
        similarity_weight=options.similarity_weight,
        reconstruction_weight=options.reconstruction_weight,
        gradient_penalty_weight=options.gradient_penalty_weight,
        adversarial=options.adversarial,
        filters=options.filters,
        blocks=options.blocks,
        dtype="mixed_bfloat16" if options.mixed_precision else "float32",
    )
    gan.save(
        options.out,
        weights_dtype="float16" if options.float16 else "float32",
        discriminator=not options.without_discriminator,
        notes={"dataset": data.name, "steps": options.steps, "seed": options.seed},
    )
    print(f"GANMEX in {options.out}: ganmex explain {options.model} --baseline {options.out} ...")
