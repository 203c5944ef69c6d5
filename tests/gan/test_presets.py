"""The published runs can be built and are what the published names say."""

from __future__ import annotations

import pytest

from tf_ganmex.gan import PRESETS
from tf_ganmex.training import Recipe


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_ganmex_and_a_recipe(make_gan, name):
    preset = PRESETS[name]
    gan = make_gan(**preset.options)
    assert gan.options.schedule in {(1, 1), (1, 2)}
    recipe = Recipe.published(preset)
    assert recipe.learning_rates == (2e-5, 1e-4)
    assert (recipe.decay, recipe.per_class, recipe.steps) == ("constant", 6, 100_000)
    assert preset.source


def test_names_of_published_directories():
    for name in ("mnist", "apple2orange-cw100"):
        terms = ("classification", "similarity", "reconstruction")
        weights = [PRESETS[name].options[f"{term}_weight"] for term in terms]
        assert "cw{:.0f}_sw{:.0f}_rw{:.0f}".format(*weights) == "cw100_sw20_rw10"
        assert "cw100_sw20_rw10" in PRESETS[name].source
