"""Convolutions and dense layers whose weights are rounded as the integer layer has them, batch norm folded in.

w' = gamma w / sqrt(var + eps),   b' = beta - gamma mean / sqrt(var + eps)          (Jacob et al. 2018, equation 14)

In the first phase the sum of the rounded weights is brought back to the scale of w and goes through the batch norm with the
statistics of the batch, while w is folded by the running ones: rounding does not jitter with the batches. In the second phase
the running statistics serve both, as they do in the integer network.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from qconv.quant.fixedpoint import ACC_LIMIT

from .ends import BetweenQuantizers
from .frozen import FrozenLayer, Layer, LayerCodes, apply_layer
from .powers import ShiftBatchNorm2d
from .quantizers import ActivationQuantizer, Clock, WeightQuantizer

BatchNorm = Any  # one of BATCH_NORMS
LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)

_LEAST_FACTOR = 1e-12  # of a batch norm whose gamma is zero


class SimulatedLayer(BetweenQuantizers):
    """A layer, the batch norm behind it if there is one, and the rounding of the folded weight.

    `source` is the quantizer of the input, `target` that of the result: their scales make the multiplier.
    """

    def __init__(
        self, layer: Layer, norm: BatchNorm | None, rounding: WeightQuantizer, source: ActivationQuantizer | None, clock: Clock
    ) -> None:
        super().__init__(source)
        self.layer, self.norm, self.rounding = layer, norm, rounding
        self._clock = [clock]
        self.settled: LayerCodes | None = None

    def forward(self, x: Tensor) -> Tensor:
        """The layer of x with rounded weights; in evaluation by sums of codes, as the integer layer has them."""
        norm, clock = self.norm, self._clock[0]
        if not self.training:
            return self._of_codes(x)
        factor, shift = self._fold()
        weight = self.layer.weight if factor is None else self.layer.weight * _over(factor, self.layer.weight)
        if norm is None or clock.batch_norms_are_frozen:
            return apply_layer(self.layer, x, self.rounding(weight), shift)
        assert factor is not None
        total = apply_layer(self.layer, x, self.rounding(weight), None)
        apart = total / _along(factor, total)
        if self.layer.bias is not None:
            apart = apart + _along(self.layer.bias, total)
        result: Tensor = norm(apart)
        return result

    def train(self, mode: bool = True) -> SimulatedLayer:
        """Training moves what was settled."""
        self.settled = None if mode else self.settled
        super().train(mode)
        return self

    def codes(self) -> LayerCodes:
        """The layer as the integer network has it: settled, or as it is now."""
        if self.settled is not None:
            return self.settled
        with torch.no_grad():
            weight, bias = self.folded()
            scale = self.rounding.scale(weight, learn=False).float()
            if self.source is not None:
                scale = torch.maximum(scale, self._least_scale(weight, bias, self.source).reshape_as(scale))
            codes = self.rounding.codes(weight, scale)
            flat = scale.reshape(()) if self.rounding.per_tensor else scale.reshape(-1)
            if bias is None or self.source is None:
                return LayerCodes(codes, flat, bias)
            unit = self.source.params()[0].double() * flat.double()
            return LayerCodes(codes, flat, torch.round(bias.double() / unit).to(torch.int32))

    def _least_scale(self, weight: Tensor, bias: Tensor | None, source: ActivationQuantizer) -> Tensor:
        """The scales at which sums and biases take half of int32, as where a batch norm has all but shut a channel."""
        reach = source.int_type.qmax - source.int_type.qmin
        needed = weight.abs().double().flatten(1).sum(1) * reach
        if bias is not None:
            needed = needed + bias.abs().double() / source.params()[0].double()
        needed = needed / (ACC_LIMIT // 2)
        return (needed.max() if self.rounding.per_tensor else needed).float()

    def _of_codes(self, x: Tensor) -> Tensor:
        """y = S_y M (sum of (q_x - Z_x) q_w + q_b) with the float32 M that onnxruntime multiplies by (docs/arithmetic.md).

        Sums of codes are whole numbers, exact in float32 below 2^24; S_y M in float64 is exact where x is float64.
        """
        source, target, own = self.source, self.target, self.codes()
        if source is None or target is None or not target.ready:
            return self.frozen()(x)
        steps = torch.round(x / source.params()[0].to(x.dtype))
        sums = apply_layer(self.layer, steps, own.codes.to(x.dtype), None if own.bias is None else own.bias.to(x.dtype))
        multiplier = (source.params()[0] * own.scale / target.params()[0]).expand(len(own.codes))
        return (sums.float() * _along(multiplier, sums, self.layer)).to(x.dtype) * target.params()[0].to(x.dtype)

    def frozen(self) -> FrozenLayer:
        """The layer as codes."""
        return FrozenLayer(self.layer, self.codes(), None if self.source is None else self.source.params()[0])

    def folded(self) -> tuple[Tensor, Tensor | None]:
        """The exact weight and bias with the running statistics of the batch norm in them."""
        factor, bias = self._fold()
        return self.layer.weight if factor is None else self.layer.weight * _over(factor, self.layer.weight), bias

    def _fold(self) -> tuple[Tensor | None, Tensor | None]:
        """The factor of each channel, and the bias."""
        norm, bias = self.norm, self.layer.bias
        if norm is None:
            return None, bias
        factor = factor_of(norm, norm.running_var)
        factor = torch.where(factor.abs() < _LEAST_FACTOR, torch.full_like(factor, _LEAST_FACTOR), factor)
        return factor, shift_of(norm, bias, factor)


def factor_of(norm: BatchNorm, variance: Tensor) -> Tensor:
    """What a batch norm with that variance multiplies each channel by, in the type of the variance."""
    if isinstance(norm, ShiftBatchNorm2d):
        power: Tensor = norm.power(variance)
        return power
    gamma = torch.ones_like(variance) if norm.weight is None else norm.weight.to(variance.dtype)
    result: Tensor = gamma / torch.sqrt(variance + norm.eps)
    return result


def shift_of(norm: BatchNorm, bias: Tensor | None, factor: Tensor) -> Tensor:
    """What the running statistics of a batch norm, and the bias of the layer before it, add to each channel."""
    mean = norm.running_mean.to(factor.dtype)
    shift = (-mean if bias is None else bias.to(factor.dtype) - mean) * factor
    result: Tensor = shift if norm.bias is None else shift + norm.bias.to(factor.dtype)
    return result


def _along(values: Tensor, result: Tensor, layer: Layer | None = None) -> Tensor:
    """One value a channel as it broadcasts over a result, whose channels come second, or last behind a dense layer."""
    last = isinstance(layer, nn.Linear) or result.ndim == 2
    return values if last else values.reshape(-1, *[1] * (result.ndim - 2))


def _over(factor: Tensor, weight: Tensor) -> Tensor:
    return factor.reshape(-1, *[1] * (weight.ndim - 1))
