"""From a traced function to a :class:`FrozenGraph`: its variables become constants, and its weights are lifted out."""

from __future__ import annotations

import hashlib
import itertools
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.core.framework.node_def_pb2 import NodeDef
from tensorflow.python.eager import context
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from tf_ganmex.classifier.conditionals import fold_conditionals
from tf_ganmex.classifier.graph import FrozenGraph, Weight, class_count, node_name, prune, remove
from tf_ganmex.errors import ModelError


def freeze(concrete: Any, image: tf.Tensor, output: tf.Tensor) -> tuple[FrozenGraph, tuple[tf.Tensor, ...]]:
    """Freezes a concrete function and lifts its floating weights back out.

    Args:
        concrete: a ConcreteFunction with one image input.
        image: its image placeholder.
        output: the output tensor of its graph that holds the classes.

    Returns:
        The graph, and the values of its weights in the order of ``FrozenGraph.weights``.

    Raises:
        ModelError: if the graph has no class axis, or reads something beside the image and its weights.
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
    definition = fold_conditionals(definition, output_name)
    _drop_control_inputs(definition)
    prune(definition, output_name)
    _own_functions(definition)
    weights = {node.name: weights[node.name] for node in definition.node if node.name in weights}
    inputs, dtype = _take_out_input(definition, image)
    remove(definition, weights)
    _check_complete(definition)
    unique = dict(zip(weights, _unique(names[node] for node in weights), strict=True))
    graph = FrozenGraph(
        graph_def=definition,
        inputs=inputs,
        output=output_name,
        weights=tuple(
            Weight(node, unique[node], tf.TensorSpec(value.shape, value.dtype)) for node, value in weights.items()
        ),
        shape=tuple(image.shape[1:]),
        dtype=dtype,
        batch=image.shape[0],
        classes=classes,
    )
    return graph, tuple(tf.constant(value) for value in weights.values())


def _weight_names(concrete: Any) -> dict[str, str]:
    """The name of each variable, by the name of the node that a graph has for it: a captured placeholder, or itself."""
    by_handle = {id(variable.handle): variable.name.removesuffix(":0") for variable in concrete.variables}
    captured = {
        inner.op.name: by_handle[id(outer)] for outer, inner in concrete.graph.captures if id(outer) in by_handle
    }
    references = (op.name for op in concrete.graph.get_operations() if op.type in {"Variable", "VariableV2"})  # TF1
    return captured | {name: name for name in references}


def _unique(names: Iterable[str]) -> list[str]:
    """Names with ``_1``, ``_2``, ... after a layer met before: a nested Keras model may name its layers anew."""
    unique: dict[str, None] = {}
    for name in names:
        layer, slash, variable = name.rpartition("/")
        numbered = (f"{layer}_{number}/{variable}" if slash else f"{name}_{number}" for number in itertools.count(1))
        unique[next(candidate for candidate in itertools.chain([name], numbered) if candidate not in unique)] = None
    return list(unique)


def _name_when_frozen(concrete: Any, frozen: Any, output: tf.Tensor) -> str:
    """The name of ``output`` after freezing, which keeps the order of the flat outputs."""
    flat = [tensor.name for tensor in concrete.outputs]
    if output.name in flat and len(flat) == len(frozen.outputs):
        return frozen.outputs[flat.index(output.name)].name
    return output.name


def _clean(definition: graph_pb2.GraphDef) -> None:
    # Keras compiles grouped convolutions as functions of their own, which would not be inlined.
    for holder in [*_all_nodes(definition), *definition.library.function]:
        for name in ("_XlaMustCompile", "_noinline"):
            holder.attr.pop(name, None)
    for node in _all_nodes(definition):
        # silu and others wrap themselves in a custom gradient that does not exist in another process.
        node.attr.pop("_gradient_op_type", None)
        if node.op == "PlaceholderWithDefault":  # a training switch of TF1: its default is inference
            kind = node.attr["dtype"].type
            node.op = "Identity"
            node.ClearField("attr")
            node.attr["T"].type = kind


def _all_nodes(definition: graph_pb2.GraphDef) -> Iterator[NodeDef]:
    yield from definition.node
    for function in definition.library.function:
        yield from function.node_def


def _drop_control_inputs(definition: graph_pb2.GraphDef) -> None:
    for node in definition.node:
        data = [reference for reference in node.input if not reference.startswith("^")]
        del node.input[:]
        node.input.extend(data)


def _own_functions(definition: graph_pb2.GraphDef) -> None:
    """Renames the functions of the graph: changed as they are, TensorFlow would not take them under their old names."""
    suffix = hashlib.sha256(definition.SerializeToString(deterministic=True)).hexdigest()[:8]
    names = {function.signature.name for function in definition.library.function}
    for node in _all_nodes(definition):
        for value in node.attr.values():
            for called in ([value.func] if value.HasField("func") else []) + list(value.list.func):
                if called.name in names:
                    called.name = f"{called.name}_{suffix}"
    for function in definition.library.function:
        function.signature.name = f"{function.signature.name}_{suffix}"
        context.context().add_function_def(function)  # an import leaves this to whoever made the function
    del definition.library.gradient[:]


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


def _take_out_input(definition: graph_pb2.GraphDef, image: tf.Tensor) -> tuple[tuple[str, ...], tf.DType]:
    """Removes the image placeholder; returns the names of the tensors to feed, and their type.

    An integer input has no gradient, so it is fed behind the casts that read it.
    """
    name = image.op.name
    if image.dtype.is_floating:
        remove(definition, {name})
        return (f"{name}:0",), image.dtype
    _bypass_identities(definition, name)
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


def _bypass_identities(definition: graph_pb2.GraphDef, name: str) -> None:
    """Makes the nodes that read the node ``name`` through identities read it directly."""
    aliases = {name}
    while (
        found := {
            node.name for node in definition.node if node.op == "Identity" and node_name(node.input[0]) in aliases
        }
        - aliases
    ):
        aliases |= found
    remove(definition, aliases - {name})
    for node in definition.node:
        for index, reference in enumerate(node.input):
            if node_name(reference) in aliases:
                node.input[index] = name


def _check_complete(definition: graph_pb2.GraphDef) -> None:
    """ModelError if nodes are left whose values nobody will feed: a lookup table, a switch without a default."""
    unfed = [node.name for node in definition.node if node.op in {"Placeholder", "VarHandleOp", "HashTableV2"}]
    if unfed:
        raise ModelError(
            f"Expected a model of the image and its weights alone. Received: a graph that also reads {unfed}. Export a "
            "signature without lookup tables and training switches."
        )


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
