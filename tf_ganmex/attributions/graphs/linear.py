"""Which operations of a graph are linear, or affine, in the image."""

from __future__ import annotations

from collections.abc import Iterator

import tensorflow as tf
from tensorflow.core.framework import graph_pb2, node_def_pb2

from tf_ganmex.classifier.graph import FrozenGraph, node_name

# Linear in each input that may vary: the ordinary gradient is exact.
_IN_FIRST = {
    "AvgPool", "AvgPool3D", "BatchToSpace", "BatchToSpaceND", "BiasAdd", "BroadcastTo", "CheckNumerics", "Cumsum",
    "DepthToSpace", "DepthwiseConv2dNative", "EnsureShape", "ExpandDims", "Conv2D", "Conv3D", "FusedBatchNorm",
    "FusedBatchNormV2", "FusedBatchNormV3", "Gather", "GatherNd", "GatherV2", "Identity", "IdentityN", "Mean",
    "MirrorPad", "Neg", "Pad", "PadV2", "RealDiv", "Reshape", "ResizeBicubic", "ResizeBilinear",
    "ResizeNearestNeighbor", "Reverse", "ReverseV2", "Roll", "ScaleAndTranslate", "Slice", "Snapshot", "SpaceToBatch",
    "SpaceToBatchND", "SpaceToDepth", "Split", "SplitV", "Squeeze", "StridedSlice", "Sum", "Tile", "Transpose",
    "Unpack",
}  # fmt: skip
_IN_ANY = {
    "Add", "AddN", "AddV2", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Conv2DBackpropInput", "Einsum",
    "MatMul", "Mul", "Sub",
}  # fmt: skip
_IN_ALL = {"Add", "AddN", "AddV2", "BiasAdd", "Concat", "ConcatV2", "IdentityN", "Pack", "ParallelConcat", "Sub"}
# Reads the shape of a tensor, not its values.
_BLIND = {"Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike"}


def varying_nodes(graph: FrozenGraph) -> Iterator[tuple[node_def_pb2.NodeDef, list[int]]]:
    """The nodes whose values depend on the image, in order, each with which of its inputs do."""
    varying = {node_name(name) for name in graph.inputs}
    for node in in_order(graph.graph_def):
        which = [index for index, name in enumerate(node.input) if node_name(name) in varying]
        if which and node.op not in _BLIND:
            varying.add(node.name)
            yield node, which


def in_order(definition: graph_pb2.GraphDef) -> list[node_def_pb2.NodeDef]:
    """The nodes, each after the nodes that it reads; a loop of TF1 is entered, but its way back is not followed."""
    nodes = {node.name: node for node in definition.node}
    awaited = {node.name for node in definition.node if node.op != "NextIteration"}
    ordered: dict[str, node_def_pb2.NodeDef] = {}
    waiting = list(nodes)
    while waiting:
        name = waiting[-1]
        missing = [] if name in ordered else [
            read for read in map(node_name, nodes[name].input) if read in awaited and read not in ordered
        ]  # fmt: skip
        if missing:
            waiting.extend(missing)
        else:
            ordered.setdefault(waiting.pop(), nodes[name])
    return list(ordered.values())


def is_linear(node: node_def_pb2.NodeDef, varying: list[int]) -> bool:
    """Whether a node is an affine function of those of its inputs that vary, all together."""
    if node.op.startswith("FusedBatchNorm") and node.attr["is_training"].b:
        return False
    if node.op == "Cast":
        return all(tf.as_dtype(node.attr[name].type).is_floating for name in ("SrcT", "DstT"))
    if node.op == "StopGradient":  # its forward value is what counts
        return True
    if len(varying) > 1:
        return node.op in _IN_ALL
    return node.op in _IN_ANY | _IN_ALL or (node.op in _IN_FIRST and varying == [0])
