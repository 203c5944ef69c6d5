"""The Fréchet distance between two sets of images, in the features of a network of the user's choice."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from tf_ganmex.attributions.problem import check_count
from tf_ganmex.classifier.graph import FrozenGraph, import_graph, node_name, tensor_name
from tf_ganmex.errors import ImageError, ModelError

if TYPE_CHECKING:
    from tf_ganmex.classifier import Classifier

__all__ = ["fid", "penultimate_features"]

Features = Callable[[np.ndarray], np.ndarray]
# What the last layer of a classifier is, as an operation.
_LAST_LAYERS = ("MatMul", "BatchMatMulV2", "Conv2D")


def fid(real: Any, fake: Any, features: Features, *, batch_size: int = 256) -> float:
    """The Fréchet distance between the features of two sets of images.

    |μ − μ'|² + tr(Σ + Σ' − 2 (Σ Σ')^½) of the means and covariances of the features; 0 for two equal sets, without
    an upper bound. It depends on the features and, below some thousand images, on their number, so that only distances
    in the same features, of as many images, compare. With the pooled features of an ImageNet Inception it is the FID.

    Args:
        real: images (n, h, w, c).
        fake: images (m, h, w, c).
        features: of images (n, h, w, c), to (n, d): :func:`penultimate_features`, or any other network.
        batch_size: images a pass.

    Returns:
        The distance, by TF-GAN's function, in float64.

    Raises:
        ImageError: for fewer than two images in a set.
        ModelError: for features that are not finite numbers (n, d), as many of all images.
        OptionError: for a batch size below one.

    Reference:
        Heusel et al., "GANs Trained by a Two Time-Scale Update Rule", arXiv:1706.08500, Eq. 6.
    """
    # Late: importing the package imports no TF-GAN.
    from tf_ganmex.gan.tfgan import import_tfgan

    batch_size = check_count(batch_size, "batch_size")
    sets = []
    for name, images in (("real", real), ("fake", fake)):
        images = np.asarray(images)
        if images.ndim != 4 or len(images) < 2:
            raise ImageError(
                f"Expected two or more images (n, h, w, c), for a covariance. Received: {name} of shape {images.shape}."
            )
        batches = (images[start : start + batch_size] for start in range(0, len(images), batch_size))
        sets.append(_features(features, batches, name))
    widths = [found.shape[1] for found in sets]
    if widths[0] != widths[1]:
        raise ModelError(f"Expected as many features of all images. Received: {widths[0]} and {widths[1]}.")
    # TF-GAN's function takes singular values below 1e-10 for zero, which those of small features are.
    scale = float(np.sqrt(np.mean([found.var(0).mean() for found in sets]))) or 1.0
    scaled = [tf.constant((found - sets[0].mean(0)) / scale) for found in sets]
    distance = import_tfgan().eval.frechet_classifier_distance_from_activations(*scaled)
    # Rounding takes the distance of equal sets a little below zero.
    return max(0.0, float(distance) * scale**2)


def _features(features: Features, batches: Iterable[np.ndarray], name: str) -> np.ndarray:
    """Features (n, d) of a set, in float64."""
    found = np.concatenate([np.asarray(features(batch), np.float64) for batch in batches])
    if found.ndim != 2:
        raise ModelError(f"Expected features (n, d). Received: of {name}, features of shape {found.shape}.")
    if not np.isfinite(found).all():
        raise ModelError(f"Expected finite features. Received: NaN or infinity in those of {name}.")
    return found


def penultimate_features(clf: Classifier) -> Features:
    """What a classifier's last layer sees: the features to compare its own images in.

    Args:
        clf: a classifier whose logits come from a dense layer or a convolution.

    Returns:
        A function of images (n, h, w, c) in the value range to features (n, d).

    Raises:
        ModelError: for a classifier without a graph or without such a layer.
    """
    graph = clf.graph
    name = _input_of_last_layer(graph)

    def build(x: tf.Tensor, weights: tuple[tf.Tensor, ...]) -> tf.Tensor:
        (found,) = import_graph(graph.graph_def, graph.feeds(x, weights), [name])
        return tf.reshape(found, [tf.shape(x)[0], -1])

    kernel = graph.compile(build)

    def features(images: np.ndarray) -> np.ndarray:
        return kernel(tf.constant(clf.check_images(images)), clf.weight_tensors).numpy()

    return features


def _input_of_last_layer(graph: FrozenGraph) -> str:
    nodes = {node.name: node for node in graph.graph_def.node}
    node = nodes.get(node_name(graph.output))
    while node is not None:
        if node.op in _LAST_LAYERS and graph.batch is None:
            return tensor_name(node.input[0])
        # Softmax, bias and the like: along the first input.
        node = nodes.get(node_name(node.input[0])) if node.input else None
    raise ModelError(
        "Expected a classifier that ends in a dense layer or a convolution, for any number of images. Received: one "
        "whose graph does not. Pass a function of images to features of your own."
    )
