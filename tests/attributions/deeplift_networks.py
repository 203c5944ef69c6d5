"""Small networks of every kind of layer, and a question to ask them."""

from __future__ import annotations

from functools import cache

import keras
import numpy as np
from attribution_cases import sequential

layers = keras.layers


def delta_difference(clf, x, baseline, origin, target, score):
    return clf.score_delta(x, origin, target, score) - clf.score_delta(baseline, origin, target, score)


def conv(filters=6, size=3, activation="relu", **options):
    return layers.Conv2D(filters, size, activation=activation, **options)


def around(*middle):
    """A network with ``middle`` between a convolution and a dense layer."""
    return lambda: sequential((8, 8, 2), conv(), *[make() for make in middle], layers.Flatten(), layers.Dense(4))


def functional(build):
    def make():
        image = keras.Input((8, 8, 2))
        return keras.Model(image, layers.Dense(4)(layers.Flatten()(build(image))))

    return make


def squeeze_excite(image):
    z = conv(padding="same")(image)
    gate = layers.Dense(6, activation="sigmoid")(layers.Dense(3, "relu")(layers.GlobalAveragePooling2D()(z)))
    return layers.Multiply()([z, layers.Reshape((1, 1, 6))(gate)])


def attention(image):
    z = layers.Reshape((16, 8))(layers.Conv2D(8, 2, strides=2)(image))
    z = layers.LayerNormalization()(z)
    return layers.MultiHeadAttention(2, 4)(z, z) + z


def nested(image):
    inner = sequential((6, 6, 6), conv(4, 2), layers.MaxPooling2D(2))
    return inner(conv()(image))


def spread_norms(model):
    """Statistics of batch normalization as after training."""
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([np.random.default_rng(5).uniform(0.3, 1.5, w.shape) for w in layer.get_weights()])
    return model


ACTIVATIONS = [
    "sigmoid", "tanh", "elu", "selu", "softplus", "leaky_relu", "relu6", "silu", "gelu", "mish", "hard_silu",
    "hard_sigmoid", "softsign", "exponential", "celu", "log_sigmoid", "squareplus", "tanh_shrink",
]  # fmt: skip
NETWORKS = {
    **{name: around(lambda name=name: conv(6, 2, name)) for name in ACTIVATIONS},
    "gelu by tanh": around(lambda: layers.Activation(lambda z: keras.activations.gelu(z, approximate=True))),
    "prelu": around(lambda: conv(4, 1, None), lambda: layers.PReLU("normal")),
    "leaky relu layer": around(lambda: conv(4, 1, None), lambda: layers.LeakyReLU(0.3)),
    "relu with a ceiling": around(lambda: layers.ReLU(0.2)),
    "max pooling": around(lambda: layers.MaxPooling2D(2)),
    "max pooling, overlapping": around(lambda: layers.MaxPooling2D(3, 1, padding="same")),
    "average pooling": around(lambda: layers.AveragePooling2D(3, 2, padding="same"), lambda: conv(4, 2)),
    "global max pooling": around(lambda: layers.GlobalMaxPooling2D()),
    "global average pooling": around(lambda: layers.GlobalAveragePooling2D(), lambda: layers.Dense(5, "relu")),
    "batch norm": around(lambda: layers.BatchNormalization(), lambda: conv(4, 2)),
    "layer norm": around(lambda: layers.LayerNormalization(), lambda: conv(4, 2)),
    "group norm": around(lambda: layers.GroupNormalization(3), lambda: conv(4, 2)),
    "rms norm": around(lambda: layers.RMSNormalization(), lambda: conv(4, 2)),
    "unit norm": around(lambda: layers.Flatten(), lambda: layers.UnitNormalization()),
    "depthwise": around(lambda: layers.DepthwiseConv2D(3, activation="relu")),
    "grouped": around(lambda: conv(6, groups=3)),
    "separable": around(lambda: layers.SeparableConv2D(4, 3, activation="relu")),
    "transposed": around(lambda: layers.Conv2DTranspose(4, 3, 2, activation="relu")),
    "dropout": around(lambda: layers.Dropout(0.5), lambda: layers.SpatialDropout2D(0.3), lambda: conv(3, 2)),
    "up-sampling": around(lambda: layers.UpSampling2D(2), lambda: conv(3, 2)),
    "up-sampling, bilinear": around(lambda: layers.UpSampling2D(2, interpolation="bilinear"), lambda: conv(3, 2)),
    "zero padding": around(lambda: layers.ZeroPadding2D(((1, 2), (0, 1))), lambda: conv(3, 2)),
    "cropping": around(lambda: layers.Cropping2D(1), lambda: conv(3, 2)),
    "rescaling": around(lambda: layers.Rescaling(2.0, -1.0), lambda: conv(3, 2)),
    "permute": around(lambda: layers.Permute((3, 1, 2)), lambda: conv(3, 2)),
    "softmax inside": around(lambda: layers.Softmax(), lambda: conv(3, 2)),
    "residual": functional(lambda image: conv(6)(image) + conv(6, activation="tanh")(image)),
    "concatenation": functional(lambda image: layers.Concatenate()([conv()(image), conv(activation="elu")(image)])),
    "squeeze and excite": functional(squeeze_excite),
    "maximum": functional(lambda image: layers.Maximum()([conv()(image), conv()(image), conv()(image)])),
    "minimum": functional(lambda image: layers.Minimum()([conv()(image), conv()(image)])),
    "subtract": functional(lambda image: layers.Subtract()([conv()(image), conv()(image)])),
    "average": functional(lambda image: layers.Average()([conv()(image), conv()(image)])),
    "dot": functional(lambda image: layers.Dot(2)([layers.Reshape((6, 36))(conv()(image))] * 2)),
    "attention": functional(attention),
    "nested": functional(nested),
}


@cache
def questions():
    x, baseline = np.random.default_rng(6).random((2, 6, 8, 8, 2), np.float32)
    baseline[:3, :3] = x[:3, :3]
    baseline[3] = 0.5
    return x, baseline, np.array([0, 1, 2, 3, 0, 1]), np.array([1, 2, 3, 0, 2, 3])
