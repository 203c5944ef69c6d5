"""The networks are TF-GAN's StarGAN networks, weight for weight, with width and depth as options."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tf_ganmex._backend import keras
from tf_ganmex.errors import ImageError, OptionError
from tf_ganmex.gan.networks import build_discriminator, build_generator
from tf_ganmex.gan.tfgan import import_tfgan_module, tf1_scope
from tf_ganmex.gan.tfgan.names import SHARED_TRUNK, graph_name


def run_tfgan(build, feeds, weights):
    """Build one of TF-GAN's networks in a graph, give its variables our weights, and return (output, unused names)."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        placeholders = [v1.placeholder(tf.float32, value.shape) for value in feeds]
        with tf1_scope():
            output = build(*placeholders)
        session.run(v1.global_variables_initializer())
        variables = {variable.name.split(":")[0]: variable for variable in v1.global_variables()}
        for name, value in weights.items():
            assert variables[name].shape.as_list() == list(value.shape), name
            variables[name].load(value, session)
        return session.run(output, dict(zip(placeholders, feeds, strict=True))), variables.keys() - weights.keys()


def randomised(network, seed):
    """Give every weight, norms included, a random value; return them by "layer/variable"."""
    rng = np.random.default_rng(seed)
    for variable in network.weights:
        spread = np.prod(variable.shape[:-1]) ** -0.5 if len(variable.shape) == 4 else 0.3
        variable.assign(variable + rng.normal(0.0, spread, variable.shape))
    return {f"{layer.name}/{v.name}": v.numpy() for layer in network.layers for v in layer.weights}


@pytest.fixture(scope="module")
def stargan():
    return import_tfgan_module("examples.stargan.network")


def test_generator_equals_tfgans_with_the_same_weights(stargan):
    # TF-GAN's sizes cannot be changed from outside: this is the full published generator, on a small image.
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (2, 8, 12, 3)).astype(np.float32)
    target = np.eye(4, dtype=np.float32)[[1, 3]]
    ours = build_generator((8, 12, 3), 4, filters=64, blocks=6)
    weights = {graph_name(name, SHARED_TRUNK): value for name, value in randomised(ours, 1).items()}
    with tf.device("CPU:0"):
        theirs, unused = run_tfgan(stargan.generator, [x, target], weights)
    assert unused == {f"generator/generator_down_sample/InstanceNorm_2/{part}" for part in ("beta", "gamma")}
    np.testing.assert_allclose(ours([x, target]).numpy(), theirs, atol=2e-5)
    assert np.std(theirs) > 0.01


def test_discriminator_equals_tfgans_with_the_same_weights(stargan):
    layers = import_tfgan_module("examples.stargan.layers")

    def narrow(x):
        # Its parts take a width, the whole does not.
        with tf.compat.v1.variable_scope("discriminator"):
            score = layers.discriminator_output_source(layers.discriminator_input_hidden(x, init_num_outputs=4))
            return tf.reduce_mean(score, axis=[1, 2, 3])

    x = np.random.default_rng(0).uniform(-1, 1, (3, 128, 128, 1)).astype(np.float32)
    ours = build_discriminator((128, 128, 1), filters=4)
    weights = {graph_name(name, SHARED_TRUNK): value for name, value in randomised(ours, 1).items()}
    theirs, unused = run_tfgan(narrow, [x], weights)
    assert not unused
    assert theirs.shape == (3,)
    np.testing.assert_allclose(ours(x).numpy(), theirs, rtol=1e-5)


@pytest.mark.parametrize("variant", [{"down_sampling": False}, {"up_sampling": "resize"}, {"last_down_norm": True}])
def test_variants_return_images_of_the_same_size(variant):
    network = build_generator((8, 12, 3), 2, filters=8, blocks=1, **variant)
    image = network([tf.random.stateless_uniform((2, 8, 12, 3), (0, 1)), tf.one_hot([0, 1], 2)])
    assert image.shape == (2, 8, 12, 3)
    assert float(tf.reduce_max(tf.abs(image))) <= 1


def test_without_down_sampling_no_layer_shrinks_the_image_and_any_size_will_do():
    network = build_generator((7, 5, 1), 2, filters=64, blocks=1, down_sampling=False)
    convolutions = [layer for layer in network.layers if hasattr(layer, "filters")]
    assert [c.filters for c in convolutions[:3]] == [64, 32, 16]
    assert all(min(layer.output.shape[1:3]) >= 5 for layer in network.layers if len(layer.output.shape) == 4
               and "target" not in layer.name)  # fmt: skip
    assert network.output.shape == (None, 7, 5, 1)


def test_the_last_down_norm_is_used_only_when_asked_for():
    names = {layer.name for layer in build_generator((8, 8, 1), 2, filters=4, blocks=1).layers}
    assert "down_1_norm" in names
    assert "down_2_norm" not in names
    build_generator((8, 8, 1), 2, filters=4, blocks=1, last_down_norm=True).get_layer("down_2_norm")


def test_a_smaller_smallest_side_gives_tfgans_six_convolutions_at_64():
    def convolutions(side):
        return sum(
            "relu" in layer.name for layer in build_discriminator((64, 64, 1), filters=1, smallest_side=side).layers
        )

    assert (convolutions(3), convolutions(2)) == (5, 6)


@pytest.mark.parametrize(
    ("height", "width", "sides"),
    [(28, 28, [14, 7, 3, 1]), (8, 8, [4, 2]), (128, 128, [64, 32, 16, 8, 4, 2]), (256, 256, [128, 64, 32, 16, 8, 4])],
)
def test_discriminator_stops_halving_below_three_pixels_or_after_six(height, width, sides):
    network = build_discriminator((height, width, 1), filters=2)
    strided = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D) and layer.strides == (2, 2)]
    assert [layer.output.shape[1] for layer in strided] == sides
    assert [layer.filters for layer in strided] == [2 * 2**i for i in range(len(sides))]


def test_a_narrow_image_stops_the_halving_by_its_shorter_side():
    network = build_discriminator((64, 8, 1), filters=2)
    assert sum("critic" in layer.name and "relu" in layer.name for layer in network.layers) == 2


@pytest.mark.parametrize("filters", [1, 4, 64])
def test_generator_widths_follow_filters_and_no_convolution_has_a_bias(filters):
    network = build_generator((8, 8, 1), 3, filters=filters, blocks=2)
    assert network.get_layer("down_0").filters == filters
    assert network.get_layer("down_2").filters == 4 * filters
    assert network.get_layer("block_1_1").filters == 4 * filters
    assert network.get_layer("up_1").filters == filters
    assert not any(variable.name == "bias" for variable in network.weights)


def test_same_seed_same_weights_and_layers_differ():
    def kernels(seed):
        return [w for w in build_generator((8, 8, 1), 3, filters=4, blocks=2, seed=seed).get_weights() if w.ndim == 4]

    for first, again, other in zip(kernels(3), kernels(3), kernels(4), strict=True):
        np.testing.assert_array_equal(first, again)
        assert np.abs(first - other).max() > 0.01
    blocks = [kernel for kernel in kernels(3) if kernel.shape == (3, 3, 16, 16)]
    assert len(blocks) == 4
    assert np.abs(blocks[0] - blocks[1]).max() > 0.01


def test_initial_weights_do_not_depend_on_what_was_built_before():
    first = build_generator((8, 8, 1), 3, filters=4, blocks=1, seed=0).get_weights()
    keras.utils.set_random_seed(99)
    build_discriminator((8, 8, 1), filters=4)
    again = build_generator((8, 8, 1), 3, filters=4, blocks=1, seed=0).get_weights()
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)


def test_mixed_bfloat16_is_per_layer_and_outputs_are_float32():
    policy = keras.config.dtype_policy().name
    generator = build_generator((8, 8, 1), 3, filters=4, blocks=1, dtype="mixed_bfloat16")
    discriminator = build_discriminator((8, 8, 1), filters=4, dtype="mixed_bfloat16")
    image = generator([tf.zeros((2, 8, 8, 1)), tf.one_hot([0, 1], 3)])
    assert image.dtype == tf.float32
    assert discriminator(image).dtype == tf.float32
    assert generator.get_layer("block_0_0").compute_dtype == "bfloat16"
    assert generator.get_layer("block_0_0").kernel.dtype == "float32"
    assert keras.config.dtype_policy().name == policy


@pytest.mark.parametrize("shape", [(10, 8, 1), (8, 6, 1), (8, 8), (None, 8, 1)])
def test_sides_not_divisible_by_four_are_refused(shape):
    with pytest.raises(ImageError, match="divisible by 4"):
        build_generator(shape, 3)


@pytest.mark.parametrize("sizes", [{"filters": 0}, {"blocks": -1}])
def test_sizes_out_of_range_are_refused(sizes):
    with pytest.raises(OptionError, match=r"filters=.*blocks="):
        build_generator((8, 8, 1), 3, **sizes)
