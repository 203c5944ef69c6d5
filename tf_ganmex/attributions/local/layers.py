"""The layers of a classifier, read from its frozen graph, as far as a change of a few pixels stays local in them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import tensorflow as tf

from tf_ganmex.attributions.graphs.rewriting import is_by_channel
from tf_ganmex.classifier.graph import FrozenGraph, import_graph

Kind = Literal["conv", "depthwise", "average", "maximum", "pad", "add", "scale", "pointwise", "dense", "mean"]
Shape = tuple[int, ...]
ImageShape = tuple[int, int, int]

ELEMENT_COST = 8  # multiplications of a matrix product that take as long as one pass over one element

_POINTWISE = {
    *("Abs", "Add", "AddV2", "BiasAdd", "Elu", "Erf", "Erfc", "Exp", "Expm1", "Identity", "IdentityN", "LeakyRelu"),
    *("Log", "Log1p", "Maximum", "Minimum", "Mul", "Neg", "Pow", "RealDiv", "Reciprocal", "Relu", "Relu6", "Rsqrt"),
    *("Selu", "Sigmoid", "Sign", "Softplus", "Softsign", "Sqrt", "Square", "SquaredDifference", "StopGradient", "Sub"),
    "Tanh",
}
_OF_SHAPES = {"Shape", "StridedSlice", "Pack", "Prod", "ConcatV2", "Mul", "GatherV2", "Identity"}


@dataclass(frozen=True)
class Layer:
    """One layer, by what it does to the difference of two inputs.

    Attributes:
        kind: ``"add"`` adds a constant or nothing, ``"scale"`` multiplies by one, ``"pointwise"`` is any other function
            of every element alone, ``"dense"`` flattens and multiplies by a matrix, ``"mean"`` is over all pixels.
        source: the tensor that it reads.
        result: the tensor that it returns.
        shape: of the result, without the batch.
        constants: the tensors that it reads beside, which do not depend on the image.
        size: height and width of the window of which one element is made.
        stride: between windows.
        dilation: between the elements of a window.
        before: rows and columns of padding before the first ones.
    """

    kind: Kind
    source: str
    result: str
    shape: Shape
    constants: tuple[str, ...] = ()
    size: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    before: tuple[int, int] = (0, 0)

    @property
    def slides(self) -> bool:
        """Whether an element of the result is made of a window."""
        return self.kind in {"conv", "depthwise", "average", "maximum"}

    @property
    def is_linear(self) -> bool:
        """Whether the difference of two results depends on the difference of the inputs alone."""
        return self.kind not in {"pointwise", "maximum"}

    @property
    def ends(self) -> bool:
        """Whether any change of the image changes the whole result."""
        return self.kind in {"dense", "mean"}


@dataclass(frozen=True)
class Segment:
    """What lies between two tensors through which everything goes.

    Attributes:
        layer: the layer that it is; None where it is none that is known.
        cost: its multiplications for an image, as far as they can be counted.
        weights: elements of the kernels that it reads.
        elements: of its result.
    """

    layer: Layer | None
    cost: float
    weights: int
    elements: int


@dataclass(frozen=True)
class _Piece:
    """A segment while it is read, with the names that its tensors have in the frozen graph."""

    operations: list[tf.Operation]
    source: tf.Tensor
    result: tf.Tensor
    names: Mapping[str, str]

    @property
    def inner(self) -> set[str]:
        """The names of the tensors that depend on the image."""
        return {self.source.name, *(tensor.name for operation in self.operations for tensor in operation.outputs)}

    @property
    def constants(self) -> list[tf.Tensor]:
        """The other tensors that are read."""
        read = {tensor.name: tensor for operation in self.operations for tensor in operation.inputs}
        return [tensor for name, tensor in read.items() if name not in self.inner]

    def layer(self, kind: Kind, constants: Sequence[tf.Tensor] = ()) -> Layer:
        """The layer between the ends of the segment."""
        shape = _shape(self.result) or ()
        ends = self.names[self.source.name], self.names[self.result.name]
        return Layer(kind, *ends, shape, tuple(self.names[tensor.name] for tensor in constants))


def read_segments(graph: FrozenGraph, shape: ImageShape) -> list[Segment]:
    """The segments of a classifier's graph for images of ``shape``, first to last."""
    with tf.Graph().as_default() as imported:
        x = tf.compat.v1.placeholder(graph.fed_dtype, (None, *shape))
        weights = tuple(tf.compat.v1.placeholder(weight.spec.dtype, weight.spec.shape) for weight in graph.weights)
        (output,) = import_graph(graph.graph_def, graph.feeds(x, weights), [graph.output])
    fed = {x.name: graph.inputs[0]} | {
        placeholder.name: f"{weight.node}:0" for placeholder, weight in zip(weights, graph.weights, strict=True)
    }
    pieces, segments = list(_split(imported, x, output, _names(imported, graph, output) | fed)), []
    while pieces:
        piece = pieces.pop(0)
        layer = _flat_product(piece, pieces[0]) if pieces else None
        following = pieces.pop(0) if layer else None
        operations = piece.operations + (following.operations if following else [])
        elements = math.prod(_shape((following or piece).result) or (0,))
        cost, read = sum(map(_cost, operations)), sum(map(_weights, operations))
        segments.append(Segment(layer or _layer(piece), cost, read, elements))
    return segments


def _names(imported: tf.Graph, graph: FrozenGraph, output: tf.Tensor) -> dict[str, str]:
    scope = output.name.removesuffix(graph.output)
    tensors = (tensor.name for operation in imported.get_operations() for tensor in operation.outputs)
    return {name: name.removeprefix(scope) for name in tensors}


def _split(imported: tf.Graph, x: tf.Tensor, output: tf.Tensor, names: Mapping[str, str]) -> Iterator[_Piece]:
    """The pieces between consecutive tensors through which all that depends on the image goes."""
    dependent, operations = {x.name}, []
    for operation in imported.get_operations():
        if any(tensor.name in dependent for tensor in operation.inputs):
            operations.append(operation)
            dependent.update(tensor.name for tensor in operation.outputs)
    uses = Counter(tensor.name for operation in operations for tensor in operation.inputs)
    uses[output.name] += 1
    awaited, segment, source = Counter({x.name: uses[x.name]}), [], x
    for operation in operations:
        segment.append(operation)
        awaited.subtract(tensor.name for tensor in operation.inputs if tensor.name in dependent)
        awaited.update({tensor.name: uses[tensor.name] for tensor in operation.outputs})
        awaited = +awaited
        if len(awaited) == 1:
            result = imported.get_tensor_by_name(*awaited)
            yield _Piece(segment, source, result, names)
            segment, source = [], result


# --- one layer --------------------------------------------------------------------------------------------------------


def _layer(piece: _Piece) -> Layer | None:
    shape, before = _shape(piece.result), _shape(piece.source)
    if shape is None or before is None or len(before) != 3:
        return None
    (operation, *others) = piece.operations
    if not others and operation.type in _READERS:
        return _READERS[operation.type](piece, operation, before)
    return _pointwise(piece) if shape == before else None


def _pointwise(piece: _Piece) -> Layer | None:
    """A layer of elementwise operations with numbers or channels."""
    channels = piece.source.shape[-1]
    for operation in piece.operations:
        if operation.type not in _POINTWISE or "NCHW" in str(operation.node_def.attr.get("data_format", "")):
            return None
    if not all(is_by_channel(constant.shape, channels) for constant in piece.constants):
        return None
    (operation, *others) = piece.operations
    read = [tensor.name for tensor in operation.inputs]
    alone = not others and read.count(piece.source.name) == 1
    takes_away = operation.type == "Sub" and read[0] == piece.source.name
    if alone and (operation.type in {"Identity", "StopGradient", "Add", "AddV2", "BiasAdd"} or takes_away):
        return piece.layer("add", piece.constants)
    return piece.layer("scale" if alone and operation.type == "Mul" else "pointwise", piece.constants)


def _convolution(piece: _Piece, operation: tf.Operation, before: Shape) -> Layer | None:
    (kernel,) = piece.constants or [None]
    if operation.get_attr("data_format") != b"NHWC" or kernel is None or not kernel.shape.is_fully_defined():
        return None
    height, width, channels, _ = kernel.shape.as_list()
    layer = _sliding(piece.layer("conv", [kernel]), operation, before, (height, width))
    if operation.type == "DepthwiseConv2dNative":
        layer = replace(layer, kind="depthwise")
        if layer.stride[0] != layer.stride[1] or layer.dilation != (1, 1):
            return None
    return None if channels != before[-1] or _has_gaps(layer) else layer  # other channels: it is in groups


def _pooling(piece: _Piece, operation: tf.Operation, before: Shape) -> Layer | None:
    batch, height, width, channels = operation.get_attr("ksize")
    if operation.get_attr("data_format") != b"NHWC" or (batch, channels) != (1, 1):
        return None
    kind: Kind = "average" if operation.type == "AvgPool" else "maximum"
    layer = _sliding(piece.layer(kind), operation, before, (height, width))
    ends = [(layer.shape[axis] - 1) * layer.stride[axis] + layer.size[axis] - layer.before[axis] for axis in (0, 1)]
    padded = layer.before != (0, 0) or any(end > length for end, length in zip(ends, before, strict=False))
    # At the border an average is over fewer elements.
    return None if _has_gaps(layer) or (padded and kind == "average") else layer


def _sliding(layer: Layer, operation: tf.Operation, before: Shape, size: tuple[int, int]) -> Layer:
    stride = tuple(operation.get_attr("strides")[1:3])
    dilation = tuple(operation.get_attr("dilations")[1:3]) if "dilations" in operation.node_def.attr else (1, 1)
    padding, pads = operation.get_attr("padding"), [0, 0]
    if padding == b"EXPLICIT":
        pads = operation.get_attr("explicit_paddings")[2:6:2]
    if padding == b"SAME":
        axes = zip(before, layer.shape, size, stride, dilation, strict=False)
        pads = [max((o - 1) * s + (k - 1) * d + 1 - i, 0) // 2 for i, o, k, s, d in axes]
    return replace(layer, size=size, stride=stride, dilation=dilation, before=(pads[0], pads[1]))


def _has_gaps(layer: Layer) -> bool:
    """Whether there are elements between two windows that neither sees."""
    return any(layer.stride[axis] > (layer.size[axis] - 1) * layer.dilation[axis] + 1 for axis in (0, 1))


def _padding(piece: _Piece, operation: tf.Operation, before: Shape) -> Layer | None:
    amounts = tf.get_static_value(operation.inputs[1])
    if amounts is None or amounts[[0, 3]].any():
        return None
    return replace(piece.layer("pad"), before=(int(amounts[1, 0]), int(amounts[2, 0])))


def _mean(piece: _Piece, operation: tf.Operation, before: Shape) -> Layer | None:
    axes = tf.get_static_value(operation.inputs[1])
    if axes is None or sorted(np.ravel(axes) % 4) != [1, 2]:
        return None
    return replace(piece.layer("mean"), size=(before[0], before[1]))


_READERS = {
    "Conv2D": _convolution,
    "DepthwiseConv2dNative": _convolution,
    "AvgPool": _pooling,
    "MaxPool": _pooling,
    "Pad": _padding,
    "Mean": _mean,
}


def _flat_product(piece: _Piece, following: _Piece) -> Layer | None:
    """The dense layer that a flattening is with the matrix product after it."""
    before, flat, shape = _shape(piece.source), _shape(piece.result), _shape(following.result)
    (*others, reshape), (product, *more) = piece.operations, following.operations
    if before is None or len(before) != 3 or flat != (math.prod(before),) or shape is None or more:
        return None
    if reshape.type != "Reshape" or reshape.inputs[0].name != piece.source.name or product.type != "MatMul":
        return None
    if any(operation.type not in _OF_SHAPES for operation in others):
        return None
    if product.inputs[0].name != piece.result.name or product.get_attr("transpose_b") or len(following.constants) != 1:
        return None
    whole = _Piece(piece.operations + following.operations, piece.source, following.result, piece.names)
    return replace(whole.layer("dense", following.constants), size=(before[0], before[1]))


# --- shapes and costs -------------------------------------------------------------------------------------------------


def _shape(tensor: tf.Tensor) -> Shape | None:
    """The shape without the batch, None where it is not known."""
    sizes = tensor.shape.as_list() if tensor.shape.rank else []
    return None if len(sizes) < 2 or None in sizes[1:] else tuple(sizes[1:])


def _weights(operation: tf.Operation) -> int:
    second = operation.inputs[1].shape if len(operation.inputs) > 1 else tf.TensorShape(None)
    return second.num_elements() if operation.type in {"Conv2D", "MatMul"} and second.is_fully_defined() else 0


def _cost(operation: tf.Operation) -> float:
    elements = math.prod(_shape(operation.outputs[0]) or (0,)) if operation.outputs else 0
    second = operation.inputs[1].shape if len(operation.inputs) > 1 else tf.TensorShape(None)
    if operation.type in {"Conv2D", "DepthwiseConv2dNative"} and second.is_fully_defined():
        return elements * math.prod(second[: 3 if operation.type == "Conv2D" else 2])
    if operation.type in {"MatMul", "BatchMatMulV2"} and operation.inputs[0].shape.rank:
        return elements * (operation.inputs[0].shape[-1] or 1)
    return ELEMENT_COST * elements
