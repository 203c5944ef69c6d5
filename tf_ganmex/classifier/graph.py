"""A classifier's inference graph with its input and its weights taken out, to be fed on every call.

One form serves everything that the package does with a classifier: plain gradients, DeepLIFT's rewritten gradients,
other weights without a new trace, and a class discriminator that cannot train.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
from tensorflow.python.grappler import tf_optimizer

from tf_ganmex.errors import ModelError

# Held while gradients are built: SHAP's DeepExplainer replaces them in TensorFlow's registry while it runs.
TRACING = threading.RLock()
_CONDITIONALS = {"If", "StatelessIf", "Switch", "Merge", "Case", "StatelessCase"}


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
        weights: the weights, in the order in which their values are fed.
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
        weights = tuple(weight.spec for weight in self.weights)
        images = tf.TensorSpec((self.batch, *self.shape), self.fed_dtype)
        return tf.function(self._import_outputs, autograph=False).get_concrete_function(images, weights)

    def compile(self, function: Callable) -> Callable:
        """Makes a TensorFlow graph of ``function`` for every combination of argument shapes it is called with."""
        return _Compiled(function)

    def forward(self, x: tf.Tensor, weights: tuple[tf.Tensor, ...]) -> tf.Tensor:
        """The raw outputs (n, classes) for images (n, h, w, c); differentiable."""
        if self.batch is None:
            return self._function(x, weights)
        return in_fixed_batches(lambda chunk: self._function(chunk, weights), x, self.batch, self.classes)

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
    if shape.rank is None or shape.rank < 2 or shape[-1] is None or any(size != 1 for size in shape[1:-1]):
        raise ModelError(
            f"Expected model outputs of shape (n, classes). Received: output shape={shape}. "
            "Wrap the model so that it returns one score per class and image."
        )
    return int(shape[-1])


# --- freezing -----------------------------------------------------------------------------------------------------


def freeze(concrete: Any, image: tf.Tensor, output: tf.Tensor) -> tuple[FrozenGraph, tuple[tf.Tensor, ...]]:
    """Freezes a concrete function and lifts its floating weights back out.

    Args:
        concrete: a ConcreteFunction with one image input.
        image: its image placeholder.
        output: the output tensor of its graph that holds the classes.

    Returns:
        The graph, and the values of its weights in the order of ``weight_nodes``.
    """
    classes = class_count(output)
    names = _weight_names(concrete)
    with quiet_tensorflow():
        frozen = convert_variables_to_constants_v2(concrete, lower_control_flow=False)
        definition = frozen.graph.as_graph_def()
    output_name = _name_when_frozen(concrete, frozen, output)
    _clean(definition)
    prune(definition, output_name)
    weights = _lift_weights(definition, names)
    definition = _fold_conditionals(definition, image.op.name, output_name)
    inputs, dtype = _take_out_input(definition, image)
    remove(definition, weights)
    graph = FrozenGraph(
        graph_def=definition,
        inputs=inputs,
        output=output_name,
        weights=tuple(
            Weight(node, names[node], tf.TensorSpec(value.shape, value.dtype)) for node, value in weights.items()
        ),
        shape=tuple(image.shape[1:]),
        dtype=dtype,
        batch=image.shape[0],
        classes=classes,
    )
    return graph, tuple(tf.constant(value) for value in weights.values())


def _weight_names(concrete: Any) -> dict[str, str]:
    """The name of each variable, by the name of the placeholder that captures it."""
    by_handle = {id(variable.handle): variable.name.removesuffix(":0") for variable in concrete.variables}
    return {inner.op.name: by_handle[id(outer)] for outer, inner in concrete.graph.captures if id(outer) in by_handle}


def _name_when_frozen(concrete: Any, frozen: Any, output: tf.Tensor) -> str:
    """The name of ``output`` after freezing, which keeps the order of the flat outputs."""
    flat = [tensor.name for tensor in concrete.outputs]
    if output.name in flat and len(flat) == len(frozen.outputs):
        return frozen.outputs[flat.index(output.name)].name
    return output.name


def _clean(definition: graph_pb2.GraphDef) -> None:
    for node in definition.node:
        data = [reference for reference in node.input if not reference.startswith("^")]
        del node.input[:]
        node.input.extend(data)
        # silu and others wrap themselves in a custom gradient that does not exist in another process.
        node.attr.pop("_gradient_op_type", None)
        if node.op == "PlaceholderWithDefault":  # a training switch of TF1: its default is inference
            kind = node.attr["dtype"].type
            node.op = "Identity"
            node.ClearField("attr")
            node.attr["T"].type = kind


def _lift_weights(definition: graph_pb2.GraphDef, names: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Turns the constants that were floating variables into placeholders and returns their values."""
    weights = {}
    for node in definition.node:
        if node.op == "Const" and node.name in names and tf.as_dtype(node.attr["dtype"].type).is_floating:
            weights[node.name] = tf.make_ndarray(node.attr["value"].tensor)
            kind = node.attr["dtype"].type
            node.op = "Placeholder"
            node.ClearField("attr")
            node.attr["dtype"].type = kind
            node.attr["shape"].shape.CopyFrom(tf.TensorShape(weights[node.name].shape).as_proto())
    return weights


def _fold_conditionals(definition: graph_pb2.GraphDef, image: str, output: str) -> graph_pb2.GraphDef:
    """Lets Grappler take the branch of a conditional whose predicate is a constant."""
    if not any(node.op in _CONDITIONALS for node in definition.node):
        return definition
    meta = meta_graph_pb2.MetaGraphDef(graph_def=definition)
    meta.collection_def["train_op"].node_list.value.append(output)
    config = config_pb2.ConfigProto()
    rewrite = config.graph_options.rewrite_options
    rewrite.optimizers.extend(["function", "constfold", "function", "constfold", "pruning"])
    rewrite.min_graph_nodes = -1
    folded = tf_optimizer.OptimizeGraph(config, meta)
    names = {node.name for node in folded.node}
    return folded if {image, node_name(output)} <= names else definition


def _take_out_input(definition: graph_pb2.GraphDef, image: tf.Tensor) -> tuple[tuple[str, ...], tf.DType]:
    """Removes the image placeholder; returns the names of the tensors to feed, and their type.

    An integer input has no gradient, so it is fed behind the casts that read it.
    """
    name = image.op.name
    if image.dtype.is_floating:
        remove(definition, {name})
        return (f"{name}:0",), image.dtype
    readers = [node for node in definition.node if name in map(node_name, node.input)]
    casts = [node for node in readers if node.op == "Cast"]
    kinds = {node.attr["DstT"].type for node in casts}
    others = [node for node in readers if node.op not in {"Cast", "Shape"}]
    if len(kinds) != 1 or others or not tf.as_dtype(min(kinds)).is_floating:
        raise ModelError(
            "Expected a model that casts its integer input to one floating type before anything else. "
            f"Received: input dtype={image.dtype.name}, read by {sorted({node.op for node in readers})}. "
            "Export a signature that takes floating images."
        )
    for node in readers:
        if node.op == "Shape":  # the shape is the same behind the cast
            node.input[0] = casts[0].name
            node.attr["T"].type = min(kinds)
    fed = tuple(f"{node.name}:0" for node in casts)
    remove(definition, {name, *map(node_name, fed)})
    return fed, tf.as_dtype(min(kinds))


@contextmanager
def quiet_tensorflow() -> Iterator[None]:
    """Holds back TensorFlow's warnings about collections that cannot be serialized while a graph is frozen."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
