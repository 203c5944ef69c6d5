"""Captum, on the same network in PyTorch, which is imported in the processes that need it alone."""

from __future__ import annotations

from typing import Any

from benchmarks.case import Run, Task
from benchmarks.ours import background, backgrounds


def integrated_gradients(task: Task, *, evaluations: int, **settings: Any) -> Run:
    """Captum's IntegratedGradients, ``evaluations`` images through the network at a time."""
    from captum.attr import IntegratedGradients

    from benchmarks.peers.pytorch import Loaded

    loaded = Loaded(task, **settings)
    method = IntegratedGradients(loaded.delta, multiply_by_inputs=True)
    return loaded.run(
        lambda: method.attribute(
            loaded.x,
            loaded.baseline,
            additional_forward_args=(loaded.contrast,),
            n_steps=task.steps,
            method="riemann_middle",
            internal_batch_size=evaluations,
        )
    )


def occlusion(task: Task, *, evaluations: int, **settings: Any) -> Run:
    """Captum's FeatureAblation of every feature."""
    from captum.attr import FeatureAblation

    from benchmarks.peers.pytorch import Loaded

    loaded = Loaded(task, **settings)
    method = FeatureAblation(loaded.delta)
    at_once = max(1, evaluations // len(loaded.x))
    return loaded.run(
        lambda: method.attribute(
            loaded.x, loaded.baseline, additional_forward_args=(loaded.contrast,), perturbations_per_eval=at_once
        ),
        inference=True,
    )


def deeplift(task: Task, **settings: Any) -> Run:
    """Captum's DeepLift of the logits, all images at once."""
    from captum.attr import DeepLift

    from benchmarks.peers.pytorch import Delta, Loaded

    loaded = Loaded(task, **settings)
    method = DeepLift(Delta(loaded.network))
    return loaded.run(
        lambda: method.attribute(loaded.x, loaded.baseline, additional_forward_args=(loaded.contrast,)).detach()
    )


def deepshap(task: Task, **settings: Any) -> Run:
    """Captum's DeepLiftShap of the logits, which has one set of baselines a call: a call for every image."""
    import torch
    from captum.attr import DeepLiftShap

    from benchmarks.peers.pytorch import Delta, Loaded

    loaded = Loaded(task, **settings)
    sets = [loaded.images(each) for each in backgrounds(task)]
    method = DeepLiftShap(Delta(loaded.network))

    def attribute() -> Any:
        maps = [
            method.attribute(loaded.x[i : i + 1], sets[i], additional_forward_args=(loaded.contrast[i : i + 1],))
            for i in range(len(loaded.x))
        ]
        return torch.cat(maps).detach()

    return loaded.run(attribute)


def expected_gradients(task: Task, *, evaluations: int, **settings: Any) -> Run:
    """Captum's GradientShap without noise."""
    import torch
    from captum.attr import GradientShap

    from benchmarks.peers.pytorch import Loaded

    loaded = Loaded(task, **settings)
    samples = loaded.images(background(task))
    method = GradientShap(loaded.delta)

    def attribute() -> Any:
        torch.manual_seed(task.seed)
        maps = []
        for i in range(0, len(loaded.x), max(1, evaluations // task.steps)):
            rows = slice(i, i + max(1, evaluations // task.steps))
            found = method.attribute(
                loaded.x[rows],
                samples,
                n_samples=task.steps,
                stdevs=0.0,
                additional_forward_args=(loaded.contrast[rows],),
            )
            maps.append(found)
        return torch.cat(maps).detach()

    return loaded.run(attribute)


def outputs(task: Task) -> Run:
    """The network's own probabilities, to be compared with Keras's."""
    import torch

    from benchmarks.peers.pytorch import Loaded

    loaded = Loaded(task)
    return lambda: torch.softmax(loaded.network(loaded.x), -1).detach().numpy()
