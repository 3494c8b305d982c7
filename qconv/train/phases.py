"""Transposed convolutions as the integer network has them: one convolution for all phases (qconv/lower/conv_transpose.py)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn
from torch.nn import functional

from qconv.errors import ModelError
from qconv.lower.conv_transpose import crop_bounds
from qconv.model.graph import attr_int, attr_ints, attr_str, const_array
from qconv.ops.kernel_order import phase_weights

from .onnx_moves import sliced

Bounds = tuple[list[int], list[int]]  # where what is kept of each axis begins and ends
_END = 1 << 31


class Phases(nn.Module):
    """A transposed convolution of two axes: `phases` makes them all, and the rest puts them in their places."""

    def __init__(
        self, weight: NDArray[np.float32], bias: NDArray[np.float32] | None, strides: Sequence[int], group: int, bounds: Bounds
    ) -> None:
        super().__init__()
        taps = [-(-size // stride) for size, stride in zip(weight.shape[2:], strides, strict=True)]
        made, padding = phase_weights(weight, strides, group), (taps[0] - 1, taps[1] - 1)
        self.phases = nn.Conv2d(weight.shape[0], len(made), made.shape[2:], padding=padding, groups=group, bias=bias is not None)
        self.strides, self.bounds = list(strides), bounds
        with torch.no_grad():
            self.phases.weight.copy_(torch.from_numpy(np.array(made)))
            if self.phases.bias is not None and bias is not None:
                self.phases.bias.copy_(torch.from_numpy(np.repeat(bias.reshape(-1), math.prod(strides))))

    def forward(self, x: Tensor) -> Tensor:
        """What the transposed convolution gives."""
        return self.placed(self.phases(x))

    def placed(self, phases: Any) -> Any:
        """The phases in their places; of a tensor, or of the node of a graph."""
        return _placed(phases, self.strides, self.bounds)


def interleaved(x: Tensor, strides: list[int]) -> Tensor:
    """The phases [N, C s_h s_w, H, W] between one another as [N, C, H s_h, W s_w]."""
    height, width = strides
    apart = x.reshape(x.shape[0], -1, height, width, x.shape[2], x.shape[3]).permute(0, 1, 4, 2, 5, 3)
    return apart.reshape(x.shape[0], -1, x.shape[2] * height, x.shape[3] * width)


def phases_of(node: ir.Node) -> Phases:
    """A ConvTranspose of a prepared graph. Raises ModelError for a form that is not had here."""
    weight, bias = const_array(node.inputs[1]), const_array(node.inputs[2]) if len(node.inputs) > 2 else None
    sized = attr_str(node, "auto_pad", "NOTSET") != "NOTSET" or "output_shape" in node.attributes
    if weight is None or weight.ndim != 4 or sized:
        raise ModelError(f"node {node.name} (ConvTranspose) has a form that training has not; train the network from its source")
    strides = attr_ints(node, "strides", [1, 1])
    found = crop_bounds(node, _overhang(weight.shape[2:], strides))
    bounds = ([0, 0], [_END, _END]) if found is None else ([int(n) for n in found["starts"]], [int(n) for n in found["ends"]])
    return Phases(np.array(weight), None if bias is None else np.array(bias), strides, attr_int(node, "group", 1), bounds)


def with_phases(module: nn.Module) -> nn.Module:
    """A module whose nn.ConvTranspose2d without dilation are written by phases, in place."""
    if isinstance(module, nn.ConvTranspose2d):
        return _of_layer(module) if module.dilation in (1, (1, 1)) else module
    for name, child in module.named_children():
        setattr(module, name, with_phases(child))
    return module


def _of_layer(layer: nn.ConvTranspose2d) -> Phases:
    pads: list[int] = [int(n) for n in layer.padding]
    tails = [o + p - m for o, p, m in zip(_overhang(layer.kernel_size, layer.stride), pads, layer.output_padding, strict=True)]
    bias = None if layer.bias is None else layer.bias.detach().numpy()
    ends = [-tail if tail else _END for tail in tails]
    return Phases(layer.weight.detach().numpy(), bias, layer.stride, layer.groups, (pads, ends))


def _overhang(kernel: Sequence[int], strides: Sequence[int]) -> list[int]:
    """How much longer than the kernel the taps of all phases are."""
    return [-size % stride for size, stride in zip(kernel, strides, strict=True)]


def _placed(x: Any, strides: list[int], bounds: Bounds) -> Any:
    call = _call_of(x)
    if strides[0] == strides[1]:
        whole = call(functional.pixel_shuffle, (x, strides[0]))
    else:
        whole = call(interleaved, (x, strides))
    starts, ends = bounds
    return whole if not any(starts) and min(ends) == _END else call(sliced, (whole, starts, ends, [2, 3], [1, 1]))


def _call_of(x: Any) -> Callable[[Any, tuple[Any, ...]], Any]:
    """What calls a function: at once, or as one node of a graph, also while one is traced."""
    if isinstance(x, fx.Node):
        added: Callable[[Any, tuple[Any, ...]], Any] = x.graph.call_function
        return added
    if isinstance(x, fx.Proxy):
        return lambda function, given: x.tracer.create_proxy("call_function", function, given, {})
    return lambda function, given: function(*given)
