"""Turn a checkpoint of TF-GAN or of the published code into a GANMEX, or a GANMEX into such a checkpoint."""

from __future__ import annotations

import argparse
from pathlib import Path

from tf_ganmex.cli.common import add_classifier_options, import_tensorflow, read_classifier, say
from tf_ganmex.errors import OptionError

EXAMPLES = """examples:
  ganmex convert checkpoints/model.ckpt-50000 --model mnist.h5 --out mnist_ganmex
  ganmex convert export/1590000000 --model savedmodel/ --out photos_ganmex      (an export_saved_model directory)
  ganmex convert mnist_ganmex --to tfgan --out run/model.ckpt-2500              (for the published code to read)

The size of the networks is told by the shapes of their weights, that of the images by the model.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("source", type=Path, help="a checkpoint, an estimator's directory or export, or a GANMEX")
    parser.add_argument("--model", help="the classifier it was trained for; not needed for a GANMEX")
    parser.add_argument("--to", default="ganmex", choices=["ganmex", "tfgan"], help="what to write (default: ganmex)")
    parser.add_argument("--out", type=Path, required=True, metavar="PATH",
                        help="the directory of the GANMEX, or the prefix of the checkpoint")  # fmt: skip
    parser.add_argument("--float16", action="store_true", help="write a GANMEX in half precision, for a smaller file")
    add_classifier_options(parser)


def run(options: argparse.Namespace) -> None:
    """Reads the one and writes the other."""
    import_tensorflow()
    from tf_ganmex.gan import load_ganmex
    from tf_ganmex.gan.tfgan.checkpoint import write_tfgan

    gan = load_ganmex(options.source, read_classifier(options) if options.model else None)
    o = gan.options
    say(f"{options.source}: step {int(gan.step)}, {o.filters} filters, {o.blocks} blocks, {o.up_sampling} up-sampling")
    if options.to == "ganmex":
        dtype = "float16" if options.float16 else "float32"
        gan.save(options.out, weights_dtype=dtype, discriminator=not gan.has_new_discriminator)
        print(f"GANMEX in {options.out}: ganmex explain MODEL --baseline {options.out} ...")
        return
    if options.float16:
        raise OptionError(
            "Expected --float16 with a GANMEX to write. Received: --to tfgan. TF-GAN reads float32 alone."
        )
    print(f"checkpoint of TF-GAN's variables: {write_tfgan(gan, options.out)}")
