"""``evaluate``: metrics × methods × baselines on a user's classifier, GANMEX and data."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tf_ganmex.classifier import Classifier
from tf_ganmex.datasets import Dataset
from tf_ganmex.evaluation.options import DEFAULT_METHODS, DEFAULT_METRICS, Options
from tf_ganmex.evaluation.preparation import prepare
from tf_ganmex.evaluation.questions import RANDOM
from tf_ganmex.evaluation.table import EvaluationTable


def evaluate(
    clf: Classifier,
    data: Dataset,
    *,
    ganmex: Any = None,
    methods: Sequence[str] = DEFAULT_METHODS,
    baselines: Sequence[str] | Mapping[str, Any] | None = None,
    metrics: Sequence[str] = DEFAULT_METRICS,
    limit: int | None = None,
    targets: str | int = RANDOM,
    keep_misclassified: bool = False,
    score: str = "probability",
    steps: int = 200,
    method_options: Mapping[str, Mapping[str, Any]] | None = None,
    monotonicity_images: int | None = 1000,
    monotonicity_draws: int = 100,
    relevant: Any = None,
    edge_width: int = 5,
    features: Callable[[np.ndarray], np.ndarray] | None = None,
    seed: int = 0,
    folder: str | os.PathLike[str] | None = None,
    keep_maps: bool = False,
    block_size: int | None = None,
    progress: bool = False,
) -> EvaluationTable:
    """Measures attribution methods with several baselines on test images, as the GANMEX paper does.

    Each image's predicted class is explained against a target; images that the classifier gets wrong are left out and
    counted. Test images are taken in a seeded random order, so that ``limit`` is a random sample. With a ``folder``,
    the numbers of every finished block of images are kept, and a later call computes only what is missing, also after
    an interruption and with other metrics, methods or baselines. (Of a classifier that TensorFlow cannot trace nothing
    is kept.)

    Args:
        clf: the classifier.
        data: its dataset: test images to explain, training images for the baselines and samples.
        ganmex: the GANMEX model of the baseline ``"ganmex"``.
        methods: functions of ``gx.attributions`` by name. expected_gradients takes training images of the target class
            and gradient nothing; the others are combined with every baseline.
        baselines: among ``"zero"``, ``"maximum"``, ``"blurred"``, ``"nearest"``, ``"random_sample"`` and ``"ganmex"``;
            or your own by the names they shall have, callables (x, target) -> images or images (h, w, c). None: zero,
            nearest, and ganmex if given.
        metrics: of maps ``"aopc_L"`` for any number L, ``"aopc_all"``, ``"gini"``, ``"gini_shifted"``,
            ``"faithfulness"``, ``"monotonicity"``, ``"inverse_localization"``; of baselines ``"distance"``,
            ``"edge_distance"``, ``"assigned"`` (the share that the classifier calls the target), ``"fid"``; of both
            ``"run_time"``.
        limit: how many test images; None: all.
        targets: ``"random"``: a random other class for each image; ``"all"``: every other class, whose numbers are
            averaged for each image; or one class, by number or name.
        keep_misclassified: explain the images that the classifier gets wrong too.
        score: ``"probability"`` or ``"logit"``.
        steps: of integrated and expected gradients.
        method_options: other options, by method: ``{"deeplift": {"rules": "deepexplain"}}``. A method can be measured
            more than once, by names of your own: ``methods=["deeplift", "published"]`` with ``{"published": {"method":
            "deeplift", "rules": "deepexplain"}}``.
        monotonicity_images: how many images monotonicity is measured on, for it is slow; None: all.
        monotonicity_draws: values drawn for each feature.
        relevant: where inverse localization expects the attribution: a mask (h, w) or (test images, h, w), bool;
            or a .npy file of these; ``"edges"`` for all but the vertical edge strips; None for the dataset's masks of
            objects (BAM).
        edge_width: of the edge strips, in pixels.
        features: of images (n, h, w, c) to (n, d), in which the FID is taken; None: what the classifier's last layer
            sees.
        seed: of the order of the images, targets, samples and draws.
        folder: where finished cells are kept.
        keep_maps: keep the maps there too, in full precision; they then serve further metrics.
        block_size: rows at a time; it changes no number, but cells are kept by block. None chooses.
        progress: show a progress bar on standard error.

    Returns:
        The :class:`EvaluationTable`.

    Raises:
        OptionError: for unknown names, a metric without what it needs, or a folder that cannot be written to.
        DatasetError: for data that is no dataset.
        ImageError, LabelError, BaselineError: for data, targets or baselines that do not fit the classifier.

    Reference:
        Shih et al., "GANMEX", arXiv:2011.06015, Tables 2, 3 and 4; see each metric for its own.
    """
    options = Options(
        ganmex=ganmex,
        methods=methods,
        baselines=baselines,
        metrics=metrics,
        limit=limit,
        targets=targets,
        keep_misclassified=keep_misclassified,
        score=score,
        steps=steps,
        method_options=method_options,
        monotonicity_images=monotonicity_images,
        monotonicity_draws=monotonicity_draws,
        relevant=relevant,
        edge_width=edge_width,
        features=features,
        seed=seed,
        folder=folder,
        keep_maps=keep_maps,
        block_size=block_size,
    )
    evaluation = prepare(clf, data, options)
    evaluation.run(shown=progress)
    return evaluation.table()
