"""What a change does on windows, layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import tensorflow as tf

from tf_ganmex.attributions.graphs.folding import with_folded_layers
from tf_ganmex.attributions.graphs.parts import evaluate_between, graph_between, weight_feeds, weights_between
from tf_ganmex.attributions.graphs.products import with_fewer_products
from tf_ganmex.attributions.graphs.rewriting import Rewritten, Weights, shapes_of
from tf_ganmex.attributions.local.blocks import Blocks, Places
from tf_ganmex.attributions.local.layers import Layer, Shape
from tf_ganmex.attributions.local.plan import Plan
from tf_ganmex.classifier import Classifier
from tf_ganmex.classifier.graph import TRACING, FrozenGraph, class_axis_last

Before = Callable[[Layer, tf.Tensor, tf.Tensor], tf.Tensor]  # a window of what a layer read before the change


class CutNetwork:
    """A classifier's graph, for any weights, cut in two: its first layers, and the rest.

    Attributes:
        cut: the tensor between the two.
        rest: a graph from there to the output, and its weights of all of the classifier's.
        constants: the tensors that the layers read beside the image.
    """

    def __init__(self, clf: Classifier, layers: Sequence[Layer]):
        self.graph, self.head = clf.graph, clf.head
        self.cut = layers[-1].result
        self.rest = _rest(self.graph, self.cut, layers[-1].shape)
        self.constants = list(dict.fromkeys(name for layer in layers for name in layer.constants))
        self._rest_weights: tuple[Weights, Weights] | None = None
        self._make_rest_weights = self.compiled(self.rest.weights, self.weight_specs)

    @property
    def weight_specs(self) -> tuple[tf.TensorSpec, ...]:
        """What all weights look like."""
        return tuple(weight.spec for weight in self.graph.weights)

    @property
    def rest_specs(self) -> tuple[tf.TensorSpec, ...]:
        """What those of the rest look like."""
        return tuple(weight.spec for weight in self.rest.graph.weights)

    def compiled(self, function: Callable, *specs: Any) -> Any:
        """A graph of a function of arguments that look like ``specs``."""
        with TRACING:
            return tf.function(function, autograph=False).get_concrete_function(*specs)

    def rest_weights(self, weights: Weights) -> Weights:
        """The weights of the rest; the last ones are kept."""
        made = self._rest_weights
        if made is None or made[0] is not weights:
            self._rest_weights = made = weights, self._make_rest_weights(weights)
        return made[1]

    # --- inside of graphs

    def constants_of(self, weights: Weights) -> tuple[tf.Tensor, ...]:
        """The tensors in ``constants``."""
        return evaluate_between(self.graph, weight_feeds(self.graph, weights), self.constants)

    def raw(self, cut: tf.Tensor, rest: Sequence[tf.Tensor]) -> tf.Tensor:
        """The classifier's raw outputs, of the tensor at the cut and the weights of the rest; in its precision."""
        weights = [tf.cast(weight, cut.dtype) for weight in rest]
        feeds = weight_feeds(self.rest.graph, weights) | {self.cut: cut}
        (raw,) = evaluate_between(self.rest.graph, feeds, [self.graph.output])
        return class_axis_last(raw, self.graph.classes)

    def elementwise(self, layer: Layer, value: tf.Tensor, known: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """What a layer that is a function of every element makes of some of them, channels last."""
        feeds = {name: known[name] for name in layer.constants} | {layer.source: value}
        return evaluate_between(self.graph, feeds, [layer.result])[0]


def _rest(graph: FrozenGraph, cut: str, shape: Shape) -> Rewritten:
    """What is behind a tensor of ``shape``, its convolutions with as few multiplications as possible."""
    numbers = weights_between(graph, {cut}, [graph.output])
    weights = tuple(graph.weights[number] for number in numbers)
    nodes = graph_between(graph, {cut}, [graph.output])
    behind = Rewritten(
        replace(graph, graph_def=nodes, inputs=(cut,), weights=weights, kernels={}),
        lambda values: tuple(values[number] for number in numbers),
    )
    folded = with_folded_layers(behind.graph, shape).after(behind)
    shapes = shapes_of(folded.graph, shape)
    return with_fewer_products(folded.graph, shapes).after(folded) if shapes else folded


class WindowNetwork(CutNetwork):
    """A classifier's graph as a plan divides it: layers on windows, then the rest on everything.

    Attributes:
        plan: the plan.
        called: the constants that are given to every call.
    """

    def __init__(self, clf: Classifier, plan: Plan, called: Iterable[Layer]):
        super().__init__(clf, plan.layers)
        self.plan = plan
        self.called = list(dict.fromkeys(name for layer in called for name in layer.constants))
        self._made: tuple[Weights, dict[str, tf.Tensor], Blocks] | None = None
        self._make_constants = self.compiled(self.constants_of, self.weight_specs)

    def blocks(self, weights: Weights) -> Blocks:
        """The blocks for these weights; those for the last ones are kept."""
        return self._for_weights(weights)[1]

    def called_constants(self, weights: Weights) -> tuple[tf.Tensor, ...]:
        """The values of the tensors in ``called``."""
        return tuple(self._for_weights(weights)[0][name] for name in self.called)

    def known(self, constants: Sequence[tf.Tensor]) -> dict[str, tf.Tensor]:
        """The tensors in ``called`` by name."""
        return dict(zip(self.called, constants, strict=True))

    def _for_weights(self, weights: Weights) -> tuple[dict[str, tf.Tensor], Blocks]:
        made = self._made
        if made is None or made[0] is not weights:
            constants = dict(zip(self.constants, self._make_constants(weights), strict=True))
            self._made = made = weights, constants, Blocks(self.plan, constants)
        return made[1:]

    # --- inside of graphs

    def change_at_cut(
        self,
        change: tf.Tensor,
        before: Before,
        known: Mapping[str, tf.Tensor],
        matrices: Sequence[tf.Tensor],
        places: Sequence[Places],
    ) -> tf.Tensor:
        """How the window of the tensor at the cut changes when that of the image does."""
        left = list(matrices)
        for layer, by_matrix, where in zip(self.plan.layers, self.plan.by_matrix, places, strict=False):
            if by_matrix:
                change = _by_matrix(layer, change, left.pop(0), where)
            elif layer.is_linear:
                change = _linear(layer, change, known, where)
            else:
                first, sizes, *fit = where
                unchanged = before(layer, first, sizes)
                value = unchanged + (fitted(change, *fit[:3]) if fit else change)
                change = self.result(layer, value, known, *fit[3:]) - self.result(layer, unchanged, known, *fit[3:])
        return change

    def result(
        self, layer: Layer, value: tf.Tensor, known: Mapping[str, tf.Tensor], beyond: tf.Tensor | None = None
    ) -> tf.Tensor:
        """What a layer makes of a window, with ``beyond`` the padding at the borders of the map."""
        if layer.kind == "maximum":
            value = tf.pad(value, beyond, constant_values=value.dtype.min)
            return tf.nn.max_pool2d(value, layer.size, layer.stride, "VALID")
        if layer.slides:
            return sliding(layer, tf.pad(value, beyond), known)
        if layer.kind == "pad":
            return tf.pad(value, beyond)
        return self.elementwise(layer, value, known)

    def whole_change(self, change: tf.Tensor, places: Sequence[Places]) -> tf.Tensor:
        """The change of the whole tensor at the cut, of that of its window."""
        last = self.plan.layers[-1]
        return tf.ensure_shape(change if last.ends else tf.pad(change, *places[-1]), (None, *last.shape))


def _by_matrix(layer: Layer, change: tf.Tensor, matrix: tf.Tensor, where: Places) -> tf.Tensor:
    change = tf.reshape(change, (tf.shape(change)[0], -1)) @ matrix
    if layer.ends:
        return change
    return tf.ensure_shape(tf.reshape(change, *where), (None, None, None, layer.shape[-1]))


def _linear(layer: Layer, change: tf.Tensor, known: Mapping[str, tf.Tensor], where: Places) -> tf.Tensor:
    if layer.kind == "scale":
        return change * known[layer.constants[0]]
    if layer.kind == "mean":
        return tf.reshape(tf.reduce_sum(change, [1, 2]) / (layer.size[0] * layer.size[1]), (-1, *layer.shape))
    return sliding(layer, fitted(change, *where), known) if layer.slides else change


def fitted(change: tf.Tensor, first: tf.Tensor, sizes: tf.Tensor, paddings: tf.Tensor) -> tf.Tensor:
    """A slice of a window, with zeros around it."""
    return tf.pad(tf.slice(change, first, sizes), paddings)


def sliding(layer: Layer, value: tf.Tensor, known: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """A linear layer with windows on a map that has its padding."""
    if layer.kind == "average":
        return tf.nn.avg_pool2d(value, layer.size, layer.stride, "VALID")
    kernel = known[layer.constants[0]]
    if layer.kind == "depthwise":
        return tf.nn.depthwise_conv2d(value, kernel, (1, *layer.stride, 1), "VALID")
    return tf.nn.conv2d(value, kernel, layer.stride, "VALID", dilations=layer.dilation)


def free_axes(argument: tf.Tensor | tuple, axes: int) -> tf.TensorSpec | tuple:
    """What tensors look like, but for the sizes of their leading ``axes``."""
    return tf.nest.map_structure(lambda t: tf.TensorSpec([None] * axes + t.shape.as_list()[axes:], t.dtype), argument)
