"""Weights and activations of one or two bits: the layers of binarized and ternary networks.

sign(r) = +1 for r >= 0, else -1, with the gradient g 1_{|r| <= 1}                       (Hubara et al. 2016, equations 1 and 4)

"powers" are 0 and +-2^k: LogQuant, whose products are shifts. The layers are trained as they are, `prepare` turns them into
codes, and a batch norm and a sign behind them into one threshold for each channel.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from .powers import approximate_power
from .rounding import straight_through

Values = Literal["binary", "ternary", "powers"]
_HIGHEST_POWER = 5  # codes of "powers" are 0 and +-2^0 to +-2^5: 13 values, and twice one is still int8
_SMALLEST = 2.0**-60
_TERNARY_THRESHOLD = 0.7  # of the mean magnitude: below it a ternary weight is zero (Li et al. 2016)


def binarize(r: Tensor, *, stochastic: bool = False) -> Tensor:
    """+1 or -1; at random, +1 has the probability clip((r + 1) / 2, 0, 1) (equation 2). The gradient is g 1_{|r| <= 1}."""
    clipped = r.clamp(-1.0, 1.0)
    up = torch.rand_like(r) < (clipped.detach() + 1.0) / 2.0 if stochastic else r >= 0
    return clipped + (torch.where(up, 1.0, -1.0).to(r.dtype) - clipped).detach()


class Sign(nn.Module):
    """An activation of one bit. `stochastic` draws it in training."""

    def __init__(self, *, stochastic: bool = False) -> None:
        super().__init__()
        self.stochastic = stochastic

    def forward(self, x: Tensor) -> Tensor:
        """+1 or -1 for each element."""
        return binarize(x, stochastic=self.stochastic and self.training)


class _FewValues(nn.Module):
    """What binary and ternary layers share: the exact weight that is trained, and the codes that the layer computes with."""

    weight: nn.Parameter
    values: Values
    scaled: bool
    stochastic: bool

    def codes(self) -> Tensor:
        """For each weight -1 or +1; of ternary ones also 0; of powers 0 or +-2^k, the largest weight of a channel being 2^5."""
        weight = self.weight.detach()
        if self.values == "powers":
            relative = weight * (2.0**_HIGHEST_POWER) / self._largest(weight)
            powers = torch.where(relative.abs() < 2.0**-0.5, 0.0, approximate_power(relative))
            return powers.clamp(-(2.0**_HIGHEST_POWER), 2.0**_HIGHEST_POWER).to(torch.int8)
        if self.values == "binary":
            return torch.where(weight >= 0, 1, -1).to(torch.int8)
        return (torch.sign(weight) * (weight.abs() > self._threshold())).to(torch.int8)

    def factor(self) -> Tensor:
        """What the codes of each channel are multiplied by [C]: the mean magnitude of the weights that are not zero, or 1.

        Of powers it is a power of two, so that a weight is a shift.
        """
        if self.values == "powers":
            return approximate_power(self._largest(self.weight.detach()).reshape(-1)) / 2.0**_HIGHEST_POWER
        weight = self.weight.detach().flatten(1)
        if not self.scaled:
            return torch.ones(len(weight), dtype=weight.dtype)
        used = self.codes().flatten(1) != 0
        return (weight.abs() * used).sum(1) / used.sum(1).clamp(min=1)

    def few_valued(self) -> Tensor:
        """The weight that the layer computes with; its gradient passes to the exact one."""
        if self.values == "powers":
            exact = self.codes().to(self.weight.dtype) * self.factor().reshape(-1, *[1] * (self.weight.ndim - 1))
            return straight_through(self.weight, exact)
        if self.values == "binary":
            rounded = binarize(self.weight, stochastic=self.stochastic and self.training)
        else:
            clipped = self.weight.clamp(-1.0, 1.0)
            rounded = clipped + (self.codes().to(clipped.dtype) - clipped).detach()
        return rounded * self.factor().reshape(-1, *[1] * (self.weight.ndim - 1)) if self.scaled else rounded

    def _largest(self, weight: Tensor) -> Tensor:
        """The largest magnitude of each channel [C, 1, ...]."""
        return weight.abs().amax(tuple(range(1, weight.ndim)), keepdim=True).clamp_min(_SMALLEST)

    def _threshold(self) -> Tensor:
        weight = self.weight.detach()
        return _TERNARY_THRESHOLD * weight.abs().mean(tuple(range(1, weight.ndim)), keepdim=True)


class FewValuedConv2d(_FewValues, nn.Conv2d):
    """A convolution whose weights have few values; `scaled` gives each channel a factor of its own (+-alpha)."""

    def __init__(
        self, *sizes: int, values: Values = "binary", scaled: bool = False, stochastic: bool = False, **geometry: Any
    ) -> None:
        nn.Conv2d.__init__(self, *sizes, **geometry)
        self.values, self.scaled, self.stochastic = values, scaled, stochastic

    def forward(self, x: Tensor) -> Tensor:
        """The convolution of x."""
        result: Tensor = self._conv_forward(x, self.few_valued(), self.bias)
        return result


class FewValuedLinear(_FewValues, nn.Linear):
    """A dense layer whose weights have few values; `scaled` gives each channel a factor of its own (+-alpha)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        bias: bool = True,
        values: Values = "binary",
        scaled: bool = False,
        stochastic: bool = False,
    ) -> None:
        nn.Linear.__init__(self, inputs, outputs, bias)
        self.values, self.scaled, self.stochastic = values, scaled, stochastic

    def forward(self, x: Tensor) -> Tensor:
        """The dense layer of x."""
        result: Tensor = functional.linear(x, self.few_valued(), self.bias)
        return result


def clip_weights(network: nn.Module) -> None:
    """Keeps the exact weights of few-valued layers in [-1, 1], after each step (Hubara et al. 2016, algorithm 1)."""
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, _FewValues):
                module.weight.clamp_(-1.0, 1.0)
