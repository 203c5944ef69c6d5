"""The layers of a classifier, as its frozen graph has them: which weights belong together, and which layer is above."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter

from tf_ganmex.classifier import Classifier
from tf_ganmex.classifier.graph import FrozenGraph, Weight, node_name
from tf_ganmex.errors import ModelError

_PASSING_ON = {"Identity", "Cast", "Reshape", "Squeeze", "ExpandDims", "Transpose"}


@dataclass(frozen=True)
class Layer:
    """A layer of a classifier.

    Attributes:
        name: as in the model, without what all its layers' names begin with.
        weights: names of its weights, as in ``clf.weights``.
    """

    name: str
    weights: tuple[str, ...]


def layers_of(clf: Classifier) -> list[Layer]:
    """The layers of a classifier that have weights, from the output to the input.

    A layer comes before another if its longest way to the output is shorter, so the order is that of the graph and not
    of names: no layer comes before one that it feeds. Weights belong to the layer in their name ("conv1/kernel"); of
    weights without one, a vector joins the matrix whose result it is added to or multiplied with.

    Args:
        clf: the classifier.

    Returns:
        The layers; every weight is in one.

    Raises:
        ModelError: if the classifier is a callable that cannot be traced, or that keeps its weights as constants.
    """
    graph = clf.graph
    if not graph.weights:
        raise ModelError(
            "Expected a classifier with weights to randomize. Received: one whose weights are constants of a function. "
            "Keep them in tf.Variables, or pass the Keras model or SavedModel."
        )
    uses = _uses(graph)
    distance = _distances(graph)
    members: dict[str, list[Weight]] = defaultdict(list)
    for weight, layer in zip(graph.weights, _layer_names(graph, uses), strict=True):
        members[layer].append(weight)
    position = {layer: index for index, layer in enumerate(members)}
    nearest = {
        layer: min(distance[node] for weight in weights for node in uses[weight.node])
        for layer, weights in members.items()
    }
    shown = _without_common_beginning(list(members))
    # Of layers at the same distance, those that the model names last come first.
    ordered = sorted(members, key=lambda layer: (nearest[layer], -position[layer]))
    return [Layer(shown[layer], tuple(weight.name for weight in members[layer])) for layer in ordered]


def first_users(graph: FrozenGraph, weight: Weight) -> list[tuple[str, int]]:
    """The operations that read a weight, with the number of the input at which they do."""
    found, waiting = [], [weight.node]
    readers = _readers(graph)
    while waiting:
        for operation, name, index in readers.get(waiting.pop(), ()):
            if operation in _PASSING_ON:
                waiting.append(name)
            else:
                found.append((operation, index))
    return found


def _readers(graph: FrozenGraph) -> dict[str, list[tuple[str, str, int]]]:
    """By the name of a node, who reads it: operation, name, number of the input."""
    readers = defaultdict(list)
    for node in graph.graph_def.node:
        for index, reference in enumerate(node.input):
            readers[node_name(reference)].append((node.op, node.name, index))
    return readers


def _uses(graph: FrozenGraph) -> dict[str, list[str]]:
    """By the name of a weight's node, the nodes where it meets the image: the first that depend on both."""
    readers = _readers(graph)
    dependent = _image_dependent(graph)
    uses = {}
    for weight in graph.weights:
        met: list[str] = []
        seen, waiting = {weight.node}, [weight.node]
        while waiting:
            for _, name, _ in readers.get(waiting.pop(), ()):
                if name not in seen:
                    seen.add(name)
                    (met if name in dependent else waiting).append(name)
        uses[weight.node] = met or [weight.node]
    return uses


def _inputs(graph: FrozenGraph) -> dict[str, list[str]]:
    return {node.name: [node_name(reference) for reference in node.input] for node in graph.graph_def.node}


def _image_dependent(graph: FrozenGraph) -> set[str]:
    inputs = _inputs(graph)
    dependent = {node_name(name) for name in graph.inputs}
    for name in TopologicalSorter(inputs).static_order():
        if any(read in dependent for read in inputs.get(name, ())):
            dependent.add(name)
    return dependent


def _distances(graph: FrozenGraph) -> dict[str, int]:
    """The length of the longest way from each node to the output."""
    inputs = _inputs(graph)
    distance: dict[str, int] = defaultdict(int)
    for name in reversed(list(TopologicalSorter(inputs).static_order())):
        for read in inputs.get(name, ()):
            distance[read] = max(distance[read], distance[name] + 1)
    return distance


def _layer_names(graph: FrozenGraph, uses: Mapping[str, list[str]]) -> list[str]:
    inputs = _inputs(graph)
    operations = {node.name: node.op for node in graph.graph_def.node}

    def sources(name: str) -> set[str]:
        """What a node reads, as it is or reshaped."""
        found, waiting = set(), list(inputs.get(name, ()))
        while waiting:
            read = waiting.pop()
            found.add(read)
            if operations.get(read) in _PASSING_ON:
                waiting.extend(inputs[read])
        return found

    matrices = {
        node: weight.name
        for weight in graph.weights
        if "/" not in weight.name and weight.spec.shape.rank > 1
        for node in uses[weight.node]
    }

    def layer(weight: Weight) -> str:
        prefix, slash, _ = weight.name.rpartition("/")
        if slash:
            return prefix
        read = {name for node in uses[weight.node] for name in sources(node)} if weight.spec.shape.rank <= 1 else set()
        return next((matrices[name] for name in sorted(read & matrices.keys())), weight.name)

    return [layer(weight) for weight in graph.weights]


def _without_common_beginning(names: list[str]) -> dict[str, str]:
    parts = [name.split("/") for name in names]
    common = 0
    while all(len(part) > common + 1 for part in parts) and len({part[common] for part in parts}) == 1:
        common += 1
    return {name: "/".join(part[common:]) for name, part in zip(names, parts, strict=True)}
