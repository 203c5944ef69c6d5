"""Which of the first layers are evaluated for single positions as features are flipped, and what it costs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from tf_ganmex.attributions.local.fields import Fields, Product, behind, held, of_pixels
from tf_ganmex.attributions.local.layers import ELEMENT_COST, ImageShape, Layer, Segment

_STATE_PASSES = 8  # over the states of a layer, to order changes, add them up and take differences,
_CUT_PASSES = 2  # and over the tensor at the cut
_GAIN = 1.25  # how much cheaper than the whole network it has to be
_LEAST = 2e8  # multiplications for an image in the whole network, where compiling is worth while
_ELEMENTS = 2**24  # of one result for an image, at most


@dataclass(frozen=True, eq=False)
class Stage:
    """A linear layer, or none for the image itself, with the functions of every element after it.

    Attributes:
        layer: the linear layer,
        product: and how it is evaluated.
        functions: the layers after it.
        fields: what each position of the result sees.
        depth: channels of the result.
    """

    layer: Layer | None
    product: Product | None
    functions: tuple[Layer, ...]
    fields: Fields
    depth: int

    @property
    def elements(self) -> int:
        """That are held for an image."""
        return max(self.product.elements if self.product else 0, self.fields.features.size * self.depth)

    @property
    def cost(self) -> float:
        """Multiplications for an image."""
        product = self.product.cost + ELEMENT_COST * self.product.multiplied if self.product else 0
        return product + _STATE_PASSES * ELEMENT_COST * self.fields.features.size * self.depth


@dataclass(frozen=True)
class FlipPlan:
    """How flips are evaluated.

    Attributes:
        stages: from the image on.
        rest: multiplications for an image in the rest of the network.
        lighter: how many times as many elements the largest result has in the whole network as in the rest.
    """

    stages: tuple[Stage, ...]
    rest: float
    lighter: float

    @property
    def layers(self) -> list[Layer]:
        """All layers of the stages."""
        return [layer for stage in self.stages for layer in (stage.layer, *stage.functions) if layer]

    @property
    def elements(self) -> int:
        """That are held for an image."""
        return max(stage.elements for stage in self.stages)

    def cost(self, flips: int) -> float:
        """Multiplications for an image."""
        last = self.stages[-1]
        cut = len(last.fields.features) * last.depth
        return sum(stage.cost for stage in self.stages) + flips * (self.rest + _CUT_PASSES * ELEMENT_COST * cut)


def best_flip_plan(segments: Sequence[Segment], plans: Sequence[FlipPlan], flips: int) -> FlipPlan | None:
    """The cheapest plan; None where evaluating the whole network is cheaper or nearly so.

    Not asked is how many images there are: what an image gets does not depend on those beside it.
    """
    best = min(plans, key=lambda plan: plan.cost(flips), default=None)
    whole = flips * sum(segment.cost for segment in segments)
    return best if best and best.cost(flips) * _GAIN < whole and whole > _LEAST else None


def flip_plans(segments: Sequence[Segment], shape: ImageShape) -> list[FlipPlan]:
    """One plan for every convolution, average or first dense layer that only such come before, the shortest first."""
    layers, fields, depth = [segment.layer for segment in segments], of_pixels(shape), shape[-1]
    stages, plans = [Stage(None, None, _functions(layers), fields, depth)], []
    index, most = len(stages[0].functions), max((segment.elements for segment in segments), default=0)
    while index < len(layers):
        layer = layers[index]
        if layer is None or not _known(layer, depth) or held(fields, layer, depth) > _ELEMENTS:
            break
        fields, product = behind(fields, layer, depth)
        depth = layer.shape[-1]
        stages.append(Stage(layer, product, _functions(layers[index + 1 :]), fields, depth))
        if stages[-1].elements > _ELEMENTS:
            break
        index += 1 + len(stages[-1].functions)
        rest = segments[index:]
        lighter = most / max(segment.elements for segment in segments[index - 1 :])
        plans.append(FlipPlan(tuple(stages), sum(segment.cost for segment in rest), lighter))
        if layer.ends:
            break
    return plans


def _functions(layers: Sequence[Layer | None]) -> tuple[Layer, ...]:
    """The functions of every element with which some layers begin."""
    known = itertools.takewhile(lambda layer: layer and layer.kind in {"add", "scale", "pointwise"}, layers)
    return tuple(layer for layer in known if layer)


def _known(layer: Layer, depth: int) -> bool:
    return layer.kind in {"conv", "average", "dense"} or (layer.kind == "depthwise" and layer.shape[-1] == depth)
