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
from tf_ganmex.cli.training_options import add_training_options, training_settings
from tf_ganmex.errors import OptionError

EXAMPLES = """examples:
  ganmex train digits.keras digits --steps 1500 --filters 16 --blocks 2 --out digits_ganmex
  ganmex train mnist.keras mnist --data-dir ~/data --filters 32 --blocks 3 --mixed-precision --out mnist_ganmex
  ganmex train mnist.keras mnist --trainer estimator --filters 32 --blocks 3 --out mnist_ganmex   (TF-GAN's estimator)
  ganmex train a2o.h5 apple2orange --preset apple2orange --out a2o_ganmex       (as published; days on a processor)
  ganmex train savedmodel/ photos.npz --out photos_ganmex      (the published network sizes)

Run the same command again after an interruption: it goes on from the last checkpoint. The defaults below hold without
--preset.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("model", help="a .keras or .h5 file or a SavedModel directory")
    parser.add_argument("dataset", help="a name (digits, mnist, ...), or an .npz, image folder, zip or tar")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="where to write GANMEX, checkpoints, pictures"
    )
    parser.add_argument("--trainer", default="keras", choices=["keras", "estimator"],
                        help="estimator: TF-GAN's StarGANEstimator, as published (default: keras)")  # fmt: skip
    parser.add_argument("--every", type=positive, default=500,
                        help="steps between checkpoints and pictures (default: 500)")  # fmt: skip
    parser.add_argument("--tensorboard", type=Path, metavar="DIR", help="also write TensorBoard scalars there")
    parser.add_argument("--float16", action="store_true", help="write the weights in half precision, a smaller file")
    parser.add_argument("--without-discriminator", action="store_true", help="write what explaining needs, no more")
    parser.add_argument("--seed", type=int, default=0, help="of weights, batches and targets (default: 0)")
    add_training_options(parser)
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
    recipe, settings = training_settings(options)
    if options.tensorboard and options.trainer == "estimator":
        raise OptionError(
            "Expected --tensorboard with the Keras trainer. Received: --trainer estimator. Leave it out: TensorBoard's "
            f"events are in {options.out / 'estimator'} anyway."
        )
    gan = train_ganmex(
        clf,
        data,
        options.out,
        trainer=options.trainer,
        recipe=recipe,
        every=options.every,
        seed=options.seed,
        callbacks=[keras.callbacks.TensorBoard(options.tensorboard)] if options.tensorboard else [],
        verbose=keras_progress(),
        **settings,
    )
    gan.save(
        options.out,
        weights_dtype="float16" if options.float16 else "float32",
        discriminator=not options.without_discriminator,
        notes={"dataset": data.name, "steps": recipe.steps, "seed": options.seed, "trainer": options.trainer},
    )
    print(f"GANMEX in {options.out}: ganmex explain {options.model} --baseline {options.out} ...")
