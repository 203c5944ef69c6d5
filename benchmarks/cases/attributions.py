"""Attribution methods beside those of Captum, Xplique, Saliency and SHAP."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks import floors, networks, ours
from benchmarks.case import Case, Contender, Run, Task
from benchmarks.peers import captum, keras_based

CAPTUM = "Captum"
XPLIQUE = "Xplique"
SALIENCY = "Saliency"
# Of a map of IG. Untrained networks are sensitive to rounding: MobileNet's gradient in float32 is 3e-2 from float64's.
WITHIN = {"mnist": 1e-3, "cifar10": 5e-3, "mobilenet": 0.1}
DROPS_WITHIN = 1e-5  # of score deltas, which lie between -1 and 1
UNTRAINED = (
    "The network is untrained unless saved_models holds a trained one. Rounding decides which of its ReLUs are on, so "
    "all contenders differ: on MobileNet, Keras's own gradient is 3e-2 of its largest value from that in float64."
)
NAMES = {"mnist": "the MNIST net", "cifar10": "the CIFAR-10 net", "mobilenet": "MobileNet at 224"}


def captum_setups(evaluations: tuple[int, ...], *, compiled: bool = False) -> tuple[dict[str, Any], ...]:
    """Numbers of images at a time and layouts; torch.compile takes long in a scan."""
    layouts = [{"evaluations": number, "channels_last": last} for number in evaluations for last in (False, True)]
    return (*layouts, *([{"evaluations": evaluations[0], "compiled": True}] if compiled else []))


def black_trapezoid(task: Task) -> np.ndarray:
    """What Xplique computes: the trapezoidal rule from black."""
    return ours.integrated_gradients(task, baseline=np.zeros_like(networks.problem(task).baseline), rule="trapezoid")()


def both_ends(task: Task) -> np.ndarray:
    """What Saliency computes: the plain mean of gradients at 0, ..., 1."""
    import tf_ganmex as gx

    p = networks.problem(task)
    clf = gx.load_classifier(task.folder / f"{task.network}.keras")
    trapezoid = ours.integrated_gradients(task, rule="trapezoid")()
    ends = sum(gx.attributions.gradient(clf, images, p.origin, p.target) for images in (p.x, p.baseline))
    return ((task.steps - 1) * trapezoid + (p.x - p.baseline) * ends / 2) / task.steps


def black_occlusion(task: Task) -> np.ndarray:
    """What Xplique computes: single pixels made black."""
    return ours.occlusion(task, baseline=np.zeros_like(networks.problem(task).baseline))()


def saved_outputs(task: Task) -> np.ndarray:
    """Keras's probabilities."""
    return networks.outputs(task)[: task.count]


def keras_outputs(task: Task) -> Run:
    """The same as a contender."""
    found = saved_outputs(task)
    return lambda: found


def integrated_gradients(network: str, count: int, evaluations: tuple[int, ...], target: float) -> Case:
    """IG."""
    numbers = tuple({"evaluations": number} for number in evaluations)
    untrained = network != "mnist"
    within = WITHIN[network]
    return Case(
        key=f"ig-{network}",
        title=f"IG, {{steps}} steps, {NAMES[network]}",
        task=Task(network, count),
        quick=Task(network, 1, steps=20),
        contenders=(
            Contender("ours", ours.integrated_gradients),
            Contender(
                CAPTUM,
                captum.integrated_gradients,
                captum_setups(evaluations, compiled=network == "mnist"),
                within=within,
            ),
            Contender(
                XPLIQUE,
                keras_based.xplique_integrated_gradients,
                numbers,
                reference=black_trapezoid,
                within=within,
                note="black baseline, the only kind that it has",
            ),
            Contender(
                SALIENCY,
                keras_based.saliency_integrated_gradients,
                numbers,
                reference=both_ends,
                within=within,
                note="plain mean over both ends of the path",
            ),
        ),
        target=target,
        work=floors.path,
        notes=(UNTRAINED,) if untrained else (),
    )


def occlusion(network: str, count: int, evaluations: tuple[int, ...], target: float) -> Case:
    """Occlusion of every feature."""
    contenders = [
        Contender("ours", ours.occlusion),
        Contender(
            CAPTUM,
            captum.occlusion,
            captum_setups(evaluations),
            within=DROPS_WITHIN,
            note="FeatureAblation, inference mode",
        ),
    ]
    if network == "mnist":
        numbers = tuple({"evaluations": number} for number in evaluations)
        contenders.append(
            Contender(
                XPLIQUE,
                keras_based.xplique_occlusion,
                numbers,
                reference=black_occlusion,
                within=DROPS_WITHIN,
                note="black baseline, the only kind that it has",
            )
        )
    return Case(
        key=f"occlusion-{network}",
        title=f"Occlusion of every feature, {NAMES[network]}",
        task=Task(network, count),
        quick=Task(network, 1),
        contenders=tuple(contenders),
        target=target,
        work=floors.every_feature,
        agreement="absolute",
        notes=(
            "Differences are absolute: where a probability is 1 but for rounding, peers find no drop at all.",
            *(() if network == "mnist" else ("Xplique occludes pixels, all channels together, not features.",)),
        ),
    )


def deep(key: str, title: str, steps: int) -> Case:
    """DeepLIFT or DeepSHAP with other baselines for every image."""
    deeplift = key == "deeplift"
    shap = {
        "SHAP, an explainer an image": keras_based.shap_loop_deeplift if deeplift else keras_based.shap_loop_deepshap,
        "SHAP, one explainer": keras_based.shap_once_deeplift if deeplift else keras_based.shap_once_deepshap,
    }
    loop, once = shap
    mine = (Contender("ours", ours.deeplift if deeplift else ours.deepshap),)
    return Case(
        key=key,
        title=title,
        task=Task("mnist", 16, steps=steps),
        quick=Task("mnist", 2, steps=steps),
        contenders=(
            *mine,
            Contender(loop, shap[loop], note="SHAP's loop, which the target is about"),
            Contender(once, shap[once], counts=False, note="its background a function; not documented by SHAP"),
            Contender(
                CAPTUM,
                captum.deeplift if deeplift else captum.deepshap,
                ({}, {"channels_last": True}, {"threads": 1}),
                counts=False,
                note="all images in one call" if deeplift else "a call an image: it has one background a call",
            ),
        ),
        target=50.0,
        work=floors.twins,
    )


CASES = (
    integrated_gradients("mnist", 16, (400, 200, 1600), 3.0),
    integrated_gradients("cifar10", 2, (100, 50, 200), 1.3),
    integrated_gradients("mobilenet", 1, (10, 20), 1.3),
    occlusion("mnist", 16, (400, 200, 1600), 3.0),
    occlusion("cifar10", 1, (128, 64, 256), 2.0),
    deep("deeplift", "DeepLIFT of logits, another baseline for every image, the MNIST net", 1),
    deep("deepshap", "DeepSHAP of logits, 5 other baselines for every image, the MNIST net", 5),
    Case(
        key="eg-mnist",
        title="EG, {steps} draws from 100 images, the MNIST net",
        task=Task("mnist", 8),
        quick=Task("mnist", 2, steps=50),
        contenders=(
            Contender("ours", ours.expected_gradients),
            Contender("ours, another seed", ours.expected_gradients, ({"seed": 1},), judged=False, counts=False),
            Contender(
                "SHAP GradientExplainer",
                keras_based.shap_expected_gradients,
                tuple({"evaluations": number} for number in (200, 50, 100)),
                judged=False,
            ),
            Contender(
                "Captum GradientShap",
                captum.expected_gradients,
                captum_setups((400, 1600)),
                judged=False,
            ),
        ),
        work=floors.path,
        agreement="correlation",
        notes=(
            "Draws are random, and others in each: compared is the smallest correlation of two maps of an image; ours "
            "with another seed tells what draws alone change.",
        ),
    ),
)
