"""The same network and images in PyTorch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from benchmarks import networks
from benchmarks.case import Run, Task
from benchmarks.layers import Layer


class Loaded:
    """Network and images as tensors, without gradients of the weights."""

    def __init__(self, task: Task, *, threads: int = 0, channels_last: bool = False, compiled: bool = False):
        if threads:
            torch.set_num_threads(threads)
        self._format = torch.channels_last if channels_last else torch.contiguous_format
        p = networks.problem(task)
        self.network = network(networks.layers(task.folder, task.network)).to(memory_format=self._format)
        self.x, self.baseline = self.images(p.x), self.images(p.baseline)
        self.contrast = torch.from_numpy(p.contrast)
        self._called = torch.compile(self.network) if compiled else self.network

    def images(self, array: np.ndarray) -> torch.Tensor:
        """(n, h, w, c) as (n, c, h, w)."""
        tensor = torch.from_numpy(array).permute(0, 3, 1, 2)
        return tensor.contiguous(memory_format=self._format)

    def delta(self, x: torch.Tensor, contrast: torch.Tensor) -> torch.Tensor:
        """The score delta of probabilities."""
        return (torch.softmax(self._called(x), -1) * contrast).sum(-1)

    def run(self, attribute: Callable[[], torch.Tensor], *, inference: bool = False) -> Run:
        """Calls ``attribute`` and gives what it found as (n, h, w, c)."""

        def call() -> np.ndarray:
            with torch.inference_mode(inference):
                return attribute().permute(0, 2, 3, 1).numpy()

        return call


class Delta(nn.Module):
    """The score delta of logits as a module, which DeepLift needs."""

    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor, contrast: torch.Tensor) -> torch.Tensor:
        return (self.inner(x) * contrast).sum(-1)


def network(layers: list[Layer]) -> nn.Sequential:
    """The layers up to the logits as PyTorch modules; a norm right after a convolution is folded into it."""
    modules: list[nn.Module] = []
    for layer in layers:
        if layer.kind == "softmax":
            continue
        if layer.kind == "norm" and modules and isinstance(modules[-1], nn.Conv2d):
            _fold(modules[-1], layer)
        else:
            modules.extend(_modules(layer))
    return nn.Sequential(*modules).eval().requires_grad_(False)


def _modules(layer: Layer) -> list[nn.Module]:
    if layer.kind in ("conv", "depthwise"):
        return _convolution(layer)
    if layer.kind == "dense":
        dense = nn.Linear(*layer.arrays["kernel"].shape)
        dense.weight.data = torch.from_numpy(layer.arrays["kernel"].T.copy())
        dense.bias.data = torch.from_numpy(layer.arrays["bias"])
        return [dense]
    if layer.kind == "norm":
        return [_Scale(layer.arrays["scale"], layer.arrays["shift"], len(layer.before))]
    if layer.kind == "relu":
        return [nn.ReLU() if layer.limit is None else nn.Hardtanh(0.0, layer.limit)]
    if layer.kind == "pool":
        return [nn.AvgPool2d(layer.stride)]
    if layer.kind == "mean":
        return [nn.AdaptiveAvgPool2d(1)] + ([nn.Flatten()] if len(layer.after) == 1 else [])
    return [_Flatten()]


def _convolution(layer: Layer) -> list[nn.Module]:
    kernel = layer.arrays["kernel"]
    height, width, into, out = kernel.shape
    top, bottom, left, right = layer.padding
    groups = into if layer.kind == "depthwise" else 1
    weight = kernel.transpose(2, 3, 0, 1) if groups > 1 else kernel.transpose(3, 2, 0, 1)
    even = top == bottom and left == right
    made = nn.Conv2d(
        into,
        into * out if groups > 1 else out,
        (height, width),
        layer.stride,
        (top, left) if even else 0,
        groups=groups,
    )
    made.weight.data = torch.from_numpy(weight.copy())
    made.bias.data = torch.from_numpy(layer.arrays.get("bias", np.zeros(made.out_channels, np.float32)))
    return [made] if even else [nn.ZeroPad2d((left, right, top, bottom)), made]


def _fold(convolution: nn.Conv2d, norm: Layer) -> None:
    scale, shift = (torch.from_numpy(norm.arrays[name]) for name in ("scale", "shift"))
    convolution.weight.data *= scale[:, None, None, None]
    convolution.bias.data = convolution.bias.data * scale + shift


class _Scale(nn.Module):
    """A batch norm at inference."""

    def __init__(self, scale: np.ndarray, shift: np.ndarray, rank: int):
        super().__init__()
        shape = (-1, 1, 1) if rank == 3 else (-1,)
        self.register_buffer("scale", torch.from_numpy(scale).reshape(shape))
        self.register_buffer("shift", torch.from_numpy(shift).reshape(shape))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.addcmul(self.shift, x, self.scale)


class _Flatten(nn.Module):
    """Keras's order of features, channels last, so that the dense layer after it keeps its kernel."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.permute(0, 2, 3, 1).flatten(1)
