"""A classifier's inference graph with its input and its weights taken out, to be fed on every call.

One form serves everything that the package does with a classifier: plain gradients, DeepLIFT's rewritten gradients,
other weights without a new trace, and a class discriminator that cannot train.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2

from tf_ganmex.errors import ModelError

# Held while gradients are built: SHAP's DeepExplainer replaces them in TensorFlow's registry while it runs.
TRACING = threading.RLock()


@dataclass(frozen=True)
class Weight:
    """One weight of a frozen graph: its removed node, its name in the model it came from, its shape and type."""

    node: str
    name: str
    spec: tf.TensorSpec


@dataclass(eq=False, repr=False)
class FrozenGraph:
    """A graph without input and weights: ``forward(x, weights)`` puts both in.

    Attributes:
        graph_def: the nodes between the input and the output.
        inputs: names of the tensors that the input image stands for (one, or the casts of an integer input).
        output: name of the output tensor.
        weights: the weights, in the order in which their values are fed; their names are unique.
        shape: (h, w, c) of the input; None where it is dynamic.
        dtype: floating type in which the input is fed.
        batch: the batch size that the graph is fixed to, or None.
        classes: size of the class axis of the output.
        kernels: compiled functions that belong to this graph, shared by all classifiers on it.
    """

    graph_def: graph_pb2.GraphDef
    inputs: tuple[str, ...]
    output: str
    weights: tuple[Weight, ...]
    shape: tuple[int | None, ...]
    dtype: tf.DType
    batch: int | None
    classes: int
    kernels: dict[Any, Callable] = field(default_factory=dict)

    def __post_init__(self) -> None:
        prune(self.graph_def, self.output)
        self._read = {tensor_name(reference) for node in self.graph_def.node for reference in node.input}

    @property
    def fed_dtype(self) -> tf.DType:
        """The type of the images that are fed: a half-precision graph is fed float32 and casts it itself."""
        return self.dtype if self.dtype == tf.float64 else tf.float32

    @cached_property
    def _function(self) -> Callable:
        # A bare import under a GradientTape inside another tf.function silently has no gradient: a function of its own.
        batch = self.batch
        function = self._concrete(self._import_outputs, batch)
        if batch is None:
            return function

        def in_batches(x: tf.Tensor, weights: tuple[tf.Tensor, ...]) -> tf.Tensor:
            return in_fixed_batches(lambda images: function(images, weights), x, batch, self.classes)

        return self._concrete(in_batches, None)

    def _concrete(self, function: Callable, batch: int | None) -> Callable:
        weights = tuple(weight.spec for weight in self.weights)
        images = tf.TensorSpec((batch, *self.shape), self.fed_dtype)
        return tf.function(function, autograph=False).get_concrete_function(images, weights)

    def compile(self, function: Callable) -> Callable:
        """Makes a TensorFlow graph of ``function`` for every combination of argument shapes it is called with."""
        return _Compiled(function)

    def forward(self, x: tf.Tensor, weights: tuple[tf.Tensor, ...]) -> tf.Tensor:
        """The raw outputs (n, classes) for images (n, h, w, c); differentiable."""
        return self._function(x, weights)

    def feeds(self, x: tf.Tensor, weights: tuple[tf.Tensor, ...]) -> dict[str, tf.Tensor]:
        """The ``input_map`` of an import of :attr:`graph_def`."""
        images = dict.fromkeys(self.inputs, tf.cast(x, self.dtype))
        values = {f"{weight.node}:0": value for weight, value in zip(self.weights, weights, strict=True)}
        return {name: value for name, value in (images | values).items() if name in self._read}

    def with_output(self, output: str, classes: int) -> FrozenGraph:
        """The same graph cut at another tensor."""
        definition = graph_pb2.GraphDef()
        definition.CopyFrom(self.graph_def)
        return replace(self, graph_def=definition, output=output, classes=classes, kernels={})

    def constants(self) -> list[np.ndarray]:
        """The floating constants of the graph: the weights of a callable that keeps them in plain tensors."""
        kinds = ((node, node.attr["dtype"].type) for node in self.graph_def.node if node.op == "Const")
        return [tf.make_ndarray(node.attr["value"].tensor) for node, kind in kinds if tf.as_dtype(kind).is_floating]

    def _import_outputs(self, x: tf.Tensor, weights: tuple[tf.Tensor, ...]) -> tf.Tensor:
        (output,) = import_graph(self.graph_def, self.feeds(x, weights), [self.output])
        return tf.cast(class_axis_last(output, self.classes), x.dtype)


class _Compiled:
    """A tf.function that keeps its own traces: no warning that different graphs are retraced in the same line."""

    def __init__(self, function: Callable):
        self._function = tf.function(function, autograph=False)
        self._traces: dict[tuple, Callable] = {}

    def __call__(self, *arguments: Any) -> Any:
        specs = tf.nest.map_structure(lambda value: tf.TensorSpec(value.shape, value.dtype), arguments)
        key = tuple((tuple(spec.shape), spec.dtype) for spec in tf.nest.flatten(specs))
        if key not in self._traces:
            with TRACING:
                self._traces[key] = self._function.get_concrete_function(*specs)
        return self._traces[key](*arguments)


def import_graph(graph_def: graph_pb2.GraphDef, feeds: Mapping[str, tf.Tensor], wanted: list[str]) -> list:
    """Imports ``graph_def`` into the current graph and returns the tensors or operations called ``wanted``."""
    return tf.graph_util.import_graph_def(graph_def, input_map=dict(feeds), return_elements=wanted, name="classifier")


def class_axis_last(output: tf.Tensor, classes: int) -> tf.Tensor:
    """(n, 1, 1, classes) and the like as (n, classes)."""
    if output.shape.rank == 2 and output.shape[-1] == classes:
        return output
    return tf.reshape(output, (-1, classes))


def in_fixed_batches(function: Callable, x: tf.Tensor, batch: int, classes: int) -> tf.Tensor:
    """Applies a function of exactly ``batch`` images to any number of them, the last batch padded."""
    count = tf.shape(x)[0]
    padding = tf.math.floormod(-count, batch)
    padded = tf.concat([x, tf.zeros(tf.concat([[padding], tf.shape(x)[1:]], 0), x.dtype)], 0)
    batches = tf.reshape(padded, tf.concat([[-1, batch], tf.shape(x)[1:]], 0))
    batches = tf.ensure_shape(batches, (None, batch, *x.shape[1:]))
    outputs = tf.map_fn(function, batches, fn_output_signature=tf.TensorSpec((batch, classes), x.dtype))
    return tf.reshape(outputs, (-1, classes))[:count]


# --- names and nodes ----------------------------------------------------------------------------------------------


def node_name(reference: str) -> str:
    """The node of a NodeDef input or tensor name: ``^a`` and ``a:1`` are both of ``a``."""
    return reference.removeprefix("^").split(":")[0]


def tensor_name(reference: str) -> str:
    """The full tensor name of a NodeDef input: ``a`` is ``a:0``."""
    return reference if ":" in reference else f"{reference}:0"


def prune(definition: graph_pb2.GraphDef, output: str) -> None:
    """Deletes every node that ``output`` does not need."""
    nodes = {node.name: node for node in definition.node}
    needed: set[str] = set()
    waiting = [node_name(output)]
    while waiting:
        name = waiting.pop()
        if name in nodes and name not in needed:
            needed.add(name)
            waiting.extend(node_name(reference) for reference in nodes[name].input)
    remove(definition, nodes.keys() - needed)


def remove(definition: graph_pb2.GraphDef, names: Iterable[str]) -> None:
    """Deletes the nodes called ``names``."""
    names = set(names)
    kept = [node for node in definition.node if node.name not in names]
    del definition.node[:]
    definition.node.extend(kept)


def class_count(output: tf.Tensor) -> int:
    """The size of the class axis of an output tensor; ModelError where there is none."""
    shape = output.shape
    if not output.dtype.is_floating:
        raise ModelError(
            f"Expected floating model outputs, one score per class. Received: output dtype={output.dtype.name}. Choose "
            "the output of scores (signature='NAME:OUTPUT' of a SavedModel), not that of predicted classes."
        )
    if shape.rank is None or shape.rank < 2 or shape[-1] is None or any(size != 1 for size in shape[1:-1]):
        raise ModelError(
            f"Expected model outputs of shape (n, classes). Received: output shape={shape}. "
            "Wrap the model so that it returns one score per class and image."
        )
    return int(shape[-1])
