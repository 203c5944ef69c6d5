"""Weights of TF-GAN's estimators, of today or of TensorFlow 1, as a GANMEX; and a GANMEX as such a checkpoint."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from tf_ganmex.errors import CheckpointError
from tf_ganmex.files import write_text
from tf_ganmex.gan.classifiers import FrozenClassifier, image_shape
from tf_ganmex.gan.networks import DiscriminatorSizes, discriminator_convs
from tf_ganmex.gan.tfgan.names import SHARED_TRUNK, SOURCE_TRUNK, UNUSED_NORM, checkpoint_name
from tf_ganmex.gan.tfgan.stored import newest_readable, writing

if TYPE_CHECKING:
    from tf_ganmex.gan.ganmex import GANMEX

_GENERATOR = "Generator/generator/"
_FIRST = f"{_GENERATOR}generator_down_sample/conv_0/kernel"
_INDEX = ".index"


def find_checkpoint(path: Path) -> str | None:
    """The prefix of the TensorFlow checkpoint that `path` names, or None.

    Args:
        path: a prefix ("model.ckpt-50000"), its .index file, an estimator's directory (its newest readable one), or a
            SavedModel export.
    """
    if path.name.endswith(_INDEX) and path.is_file():
        return str(path)[: -len(_INDEX)]
    if path.name and path.with_name(path.name + _INDEX).is_file():
        return str(path)
    if (path / "variables" / f"variables{_INDEX}").is_file():
        return str(path / "variables" / "variables")
    # Not TensorFlow's list of checkpoints, which may have been left behind, or hold paths of another machine.
    return newest_readable(str(path)) if path.is_dir() else None


def read_tfgan(prefix: str, classifier: FrozenClassifier | None, **options: Any) -> GANMEX:
    """Build a GANMEX with the weights of a checkpoint of TF-GAN's StarGAN, its sizes told by the shapes.

    Args:
        prefix: of the checkpoint.
        classifier: gives the image size, which no checkpoint holds, and the value range.
        **options: of `GANMEX`, such as loss weights, which are in no checkpoint; they go before the shapes.

    Returns:
        The GANMEX, at the checkpoint's step; with a new discriminator where the checkpoint has none (an export).

    Raises:
        CheckpointError: if the checkpoint is damaged, is not of such networks, or does not fit the classifier.
    """
    # Late: ganmex.py needs this package for its losses.
    from tf_ganmex.gan.ganmex import GANMEX

    weights = _read(prefix)
    if _FIRST not in weights:
        raise CheckpointError(
            f"Expected a checkpoint of TF-GAN's StarGAN, with {_FIRST}. Received: {prefix!r} with "
            f"{', '.join(sorted(weights)[:3]) or 'no variable'}. Name an estimator's checkpoint or export."
        )
    if classifier is None:
        raise CheckpointError(
            f"Expected the classifier, for a checkpoint of TF-GAN does not hold the size of images. Received: "
            f"{prefix!r} alone. Pass load_ganmex(path, classifier=tf_ganmex.load_classifier(model)), or --model."
        )
    shape = image_shape(classifier)
    _check_task(prefix, weights, shape[-1], classifier.num_classes)
    gan = GANMEX(classifier, **(_sizes(weights, shape[:2], classifier.num_classes) | options))
    trunk = _trunk(weights)
    if not any(name.startswith("Discriminator/") for name in weights):
        gan.has_new_discriminator = True
    for network in (gan.generator,) if gan.has_new_discriminator else (gan.generator, gan.discriminator):
        _assign(prefix, network, weights, trunk)
    gan.step.assign(int(weights.get("global_step", 0)))
    return gan


def write_tfgan(gan: GANMEX, prefix: str | Path) -> str:
    """Write the weights as TF-GAN's estimator names them, for the published code to generate with.

    Args:
        gan: the GANMEX; one that was saved without its discriminator is written without.
        prefix: such as "run/model.ckpt-50000"; the directory is made.

    Returns:
        The prefix.

    Raises:
        CheckpointError: if it cannot be written.
    """
    from tf_ganmex.gan.tfgan.stargan import initial_values, source_trunk

    path = Path(prefix)
    values = initial_values(gan)
    if gan.options.down_sampling and not gan.options.last_down_norm:
        channels = values["down_2/kernel"].shape[-2]
        values[f"{UNUSED_NORM}/gamma"] = np.ones(channels, np.float32)
        values[f"{UNUSED_NORM}/beta"] = np.zeros(channels, np.float32)
    named = {checkpoint_name(name, source_trunk(gan)): value for name, value in values.items()}
    if gan.has_new_discriminator:
        named = {name: value for name, value in named.items() if not name.startswith("Discriminator/")}
    named["global_step"] = np.asarray(int(gan.step), np.int64)
    with writing(str(path.parent)):
        path.parent.mkdir(parents=True, exist_ok=True)
        # The kernel writes to temporary names and renames.
        tf.raw_ops.SaveV2(
            prefix=str(path),
            tensor_names=list(named),
            shape_and_slices=[""] * len(named),
            tensors=list(named.values()),
        )
        state = f'model_checkpoint_path: "{path.name}"\nall_model_checkpoint_paths: "{path.name}"\n'
        write_text(path.parent / "checkpoint", state)
    return str(path)


def _read(prefix: str) -> dict[str, np.ndarray]:
    """All that is not an optimizer's, by name."""
    try:
        reader = tf.train.load_checkpoint(prefix)
        names = reader.get_variable_to_shape_map()
        kept = [n for n in names if re.match(r"(Generator|Discriminator)/", n) and "/Adam" not in n] + ["global_step"]
        return {name: reader.get_tensor(name) for name in kept if name in names}
    except (tf.errors.OpError, ValueError, OSError, IndexError) as error:
        raise CheckpointError(
            f"Expected a readable checkpoint. Received: {prefix!r}, where {str(error).splitlines()[0]}. "
            "Copy it again, with its .index and .data files."
        ) from error


def _check_task(prefix: str, weights: dict[str, np.ndarray], channels: int, classes: int) -> None:
    planes = weights[_FIRST].shape[2]
    made = weights[f"{_GENERATOR}generator_up_sample/conv_0/kernel"].shape[-1]
    if (planes, made) != (channels + classes, channels):
        raise CheckpointError(
            f"Expected a generator for {channels} channels and {classes} classes, as the classifier has. Received: "
            f"{prefix!r} with {made} channels and {planes - made} classes. Pass the classifier it was trained for."
        )


def _sizes(weights: dict[str, np.ndarray], sides: tuple[int, int], classes: int) -> dict[str, Any]:
    """The options of `GANMEX` that the shapes tell."""
    blocks = {int(m[1]) for name in weights if (m := re.search(r"residual_block_(\d+)/conv_0", name))}
    sizes: dict[str, Any] = {
        "filters": weights[_FIRST].shape[-1],
        "blocks": len(blocks),
        "down_sampling": weights[f"{_GENERATOR}generator_down_sample/conv_1/kernel"].shape[0] == 4,
        "up_sampling": "resize"
        if weights[f"{_GENERATOR}generator_up_sample/deconv_0/kernel"].shape[0] == 5
        else "transposed",
    }
    norm, last = (
        weights.get(checkpoint_name(name, SHARED_TRUNK)) for name in (f"{UNUSED_NORM}/gamma", "down_2/kernel")
    )
    # TF-GAN's unused norm is as wide as what goes into the last convolution, one that is used as what comes out.
    sizes["last_down_norm"] = norm is not None and last is not None and norm.shape[0] == last.shape[-1]
    stand_alone = any("discriminator_output_class" in name for name in weights)
    sizes["class_discriminator"] = "joint" if stand_alone else "classifier"
    trunk = _trunk(weights)
    kernels = [n for n in weights if re.fullmatch(rf"Discriminator/discriminator/{trunk}/conv_\d+/kernel", n)]
    if kernels:
        sizes["discriminator_filters"] = weights[min(kernels)].shape[-1]
        for side in (3, 2):
            chosen = DiscriminatorSizes(filters=sizes["discriminator_filters"], smallest_side=side, classes=classes)
            if discriminator_convs(sides, chosen) == len(kernels):
                sizes["discriminator_smallest_side"] = side
                break
    return sizes


def _trunk(weights: dict[str, np.ndarray]) -> str:
    # Early revisions of the published code have TF-GAN's own trunk beside a classifier too.
    return SOURCE_TRUNK if any(f"/{SOURCE_TRUNK}/" in name for name in weights) else SHARED_TRUNK


def _assign(prefix: str, network: Any, weights: dict[str, np.ndarray], trunk: str) -> None:
    for layer in network.layers:
        for variable in layer.weights:
            name = checkpoint_name(f"{layer.name}/{variable.name}", trunk)
            found = weights.get(name)
            if found is None or found.shape != tuple(variable.shape):
                raise CheckpointError(
                    f"Expected {name} of shape {tuple(variable.shape)}. Received: {prefix!r} "
                    f"{'without it' if found is None else f'with shape {found.shape}'}. Pass the classifier it was "
                    "trained for, or the options of GANMEX that cannot be told from shapes."
                )
            variable.assign(found)
