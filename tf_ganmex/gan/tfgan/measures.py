"""Means of what the updates of TF-GAN's estimator measure, collected without a further pass over a batch."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tf_ganmex.gan.steps import METRICS, REAL_CLASSIFICATION

v1: Any = tf.compat.v1
_SUMS, _COUNTS = "ganmex_sums", "ganmex_counts"
_OF_DISCRIMINATOR = ("discriminator_loss", "gradient_penalty", REAL_CLASSIFICATION)


class Measures:
    """Adds the terms to running sums whenever a loss is evaluated by an update.

    Args:
        terms: scalars by the names of the Keras trainer's measures.
        stand_alone: whether the class head's cross-entropy on real images is one of them.
    """

    def __init__(self, terms: dict[str, tf.Tensor], *, stand_alone: bool) -> None:
        self._terms = terms
        self._names = (*METRICS, REAL_CLASSIFICATION) if stand_alone else METRICS

    def of_generator(self, loss: tf.Tensor) -> tf.Tensor:
        """The generator's loss, whose evaluation also adds up the generator's terms."""
        return self._adding("generator_loss", loss, [name for name in self._names if name not in _OF_DISCRIMINATOR])

    def of_discriminator(self, loss: tf.Tensor) -> tf.Tensor:
        """The discriminator's loss, whose evaluation also adds up the discriminator's terms."""
        return self._adding("discriminator_loss", loss, [name for name in self._names if name in _OF_DISCRIMINATOR])

    def _adding(self, loss_name: str, loss: tf.Tensor, names: list[str]) -> tf.Tensor:
        terms = self._terms | {loss_name: loss}
        count = _local(f"updates/{loss_name}", _COUNTS)
        sums = {name: _local(f"measures/{name}", _SUMS) for name in names}
        for name, total in sums.items():
            v1.summary.scalar(name, total / tf.maximum(count, 1.0))
        added = [total.assign_add(terms[name]) for name, total in sums.items()]
        with tf.control_dependencies([*added, count.assign_add(1.0)]):
            return tf.identity(loss)


def read(session: Any, sums: dict[str, tf.Variable], counts: dict[str, tf.Variable]) -> dict[str, float]:
    """The means by name since the sums were last reset; see `collected`."""
    totals, numbers = session.run((sums, counts))
    means = {}
    for name, total in totals.items():
        loss = "discriminator_loss" if name in _OF_DISCRIMINATOR else "generator_loss"
        means[name] = float(total / max(numbers[loss], 1.0))
    return means


def collected() -> tuple[dict[str, tf.Variable], dict[str, tf.Variable]]:
    """The sums by measure and the numbers of updates by loss, of the present graph."""
    sums, counts = v1.get_collection(_SUMS), v1.get_collection(_COUNTS)
    return {_last(v): v for v in sums}, {_last(v): v for v in counts}


def _last(variable: tf.Variable) -> str:
    return variable.op.name.split("/")[-1]


def _local(name: str, collection: str) -> tf.Variable:
    return v1.get_variable(
        name,
        (),
        tf.float32,
        v1.zeros_initializer(),
        trainable=False,
        collections=[v1.GraphKeys.LOCAL_VARIABLES, collection],
    )
