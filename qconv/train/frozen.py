"""Trained parts as they are written to a file: codes, scales, and operators that ONNX has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from qconv.quant.types import IntType

from . import operators

Layer = Any  # one of nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear
_CONVOLUTIONS = {3: functional.conv1d, 4: functional.conv2d, 5: functional.conv3d}


class FrozenPair(nn.Module):
    """An activation, rounded with constant parameters."""

    scale: Tensor
    zero_point: Tensor

    def __init__(self, scale: Tensor, zero_point: int, int_type: IntType) -> None:
        super().__init__()
        self.int_type = int_type
        self.register_buffer("scale", scale.clone())
        self.register_buffer("zero_point", torch.tensor(zero_point, dtype=torch.int8 if int_type.signed else torch.uint8))

    def forward(self, x: Tensor) -> Tensor:
        """The real S (q - Z) of the nearest code q."""
        return operators.pair(x, self.scale, self.zero_point, self.int_type.qmin, self.int_type.qmax)


@dataclass(frozen=True, eq=False)
class LayerCodes:
    """A weight as int8 codes [C, ...], its float32 scale [C] or [], and the bias: int32 codes, or reals of an input in float."""

    codes: Tensor
    scale: Tensor
    bias: Tensor | None


class FrozenLayer(nn.Module):
    """A layer of codes; `source` is the scale of its input."""

    codes: Tensor
    scale: Tensor
    bias: Tensor | None
    unit: Tensor

    def __init__(self, layer: Layer, own: LayerCodes, source: Tensor | None) -> None:
        super().__init__()
        self._layer = [layer]
        self.register_buffer("codes", own.codes)
        self.register_buffer("zero_point", torch.zeros(own.scale.shape, dtype=torch.int8))
        self.register_buffer("scale", own.scale)
        self.register_buffer("bias", own.bias)
        if source is not None and own.bias is not None:
            self.register_buffer("unit", source * own.scale)
            self.register_buffer("bias_zero_point", torch.zeros(own.scale.shape, dtype=torch.int32))

    def forward(self, x: Tensor) -> Tensor:
        """What the layer gives for x."""
        bias = self.bias
        if bias is not None and bias.dtype == torch.int32:
            bias = operators.reals(bias, self.unit, self.bias_zero_point)
        return apply_layer(self._layer[0], x, operators.reals(self.codes, self.scale, self.zero_point), bias)


def apply_layer(layer: Layer, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """What a layer computes, with another weight and bias."""
    if isinstance(layer, nn.Linear):
        return functional.linear(x, weight, bias)
    padding = layer.padding
    if layer.padding_mode != "zeros":
        x, padding = functional.pad(x, layer._reversed_padding_repeated_twice, mode=layer.padding_mode), 0
    result: Tensor = _CONVOLUTIONS[weight.ndim](x, weight, bias, layer.stride, padding, layer.dilation, layer.groups)
    return result
