"""Binary and ternary layers as codes; a batch norm and a sign behind one become a threshold for each channel.

sign(f (alpha S_x acc) + shift) = +1  <=>  s acc + t >= 0,   s = sign(f),  t = s shift / (f alpha S_x)

acc is whole, so that the threshold lies between two whole numbers: 2 s acc + b with an odd b has the same sign and is never
zero. Those are weights of twice the codes and an odd bias, and a requantization that saturates to -1 and +1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .binarized import FewValuedConv2d, FewValuedLinear
from .frozen import LayerCodes
from .layers import BatchNorm, SimulatedLayer, factor_of, shift_of
from .powers import ShiftBatchNorm2d
from .quantizers import ActivationQuantizer, Clock, WeightQuantizer

FEW_VALUED = (FewValuedConv2d, FewValuedLinear)
_FARTHEST = 1 << 28  # a threshold beyond every accumulator


class SimulatedFewValuedLayer(SimulatedLayer):
    """A few-valued layer, and the batch norm and the sign behind it where there are such."""

    def __init__(
        self, layer: FewValuedConv2d | FewValuedLinear, norm: BatchNorm | None, sign: nn.Module | None,
        source: ActivationQuantizer | None, clock: Clock,
    ) -> None:  # fmt: skip
        channels, rank = layer.weight.shape[0], layer.weight.ndim
        super().__init__(layer, norm, WeightQuantizer(channels, rank, 2, clock, per_tensor=False), source, clock)
        self.rounding.requires_grad_(False)
        self.sign = sign

    def forward(self, x: Tensor) -> Tensor:
        """In training as the layers stand, in evaluation by sums of codes."""
        if not self.training:
            return self._of_codes(x)
        y: Tensor = self.layer(x)
        y = y if self.norm is None else self.norm(y)
        return y if self.sign is None else self.sign(y)

    def codes(self) -> LayerCodes:
        """The codes, their scale, and the bias or the odd threshold."""
        if self.settled is not None:
            return self.settled
        layer, source = self.layer, self.source
        assert isinstance(layer, FEW_VALUED)
        with torch.no_grad():
            signs, alpha = layer.codes(), layer.factor().double()
            factor, shift = self._affine()
            direction = torch.where(factor < 0, -1, 1)
            turned = signs * direction.reshape(-1, *[1] * (signs.ndim - 1)).to(torch.int8)
            scale = (factor.abs() * alpha).clamp_min(1e-30)
            if source is None:
                return LayerCodes(turned, scale.float(), shift.to(layer.weight.dtype))
            step = source.params()[0].double()
            if self.sign is None:
                return LayerCodes(turned, scale.float(), torch.round(shift / (step * scale.float().double())).to(torch.int32))
            reached = torch.ceil(-shift / (scale * step)).clamp(-_FARTHEST, _FARTHEST)  # the least direction * acc that is +1
            whole = 2.0 ** torch.ceil(torch.log2(1.0 / step))
            return LayerCodes(turned * 2, whole.float().expand(len(turned)).clone(), (1 - 2 * reached).to(torch.int32))

    def _affine(self) -> tuple[Tensor, Tensor]:
        """y = factor * (layer without bias) + shift, of the batch norm in evaluation; float64 [C]."""
        bias = self.layer.bias
        if self.norm is None:
            one = torch.ones(self.layer.weight.shape[0], dtype=torch.float64)
            return one, torch.zeros_like(one) if bias is None else bias.double()
        power = isinstance(self.norm, ShiftBatchNorm2d)  # of two, found in the type of the running variance
        variance = self.norm.running_var if power else self.norm.running_var.double()
        factor = factor_of(self.norm, variance).double()
        return factor, shift_of(self.norm, bias, factor)
