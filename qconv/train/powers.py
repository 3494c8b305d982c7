"""Numbers as powers of two, with which products are shifts, and what is built of them (Hubara et al. 2016, sections 3 and 4).

AP2(x) = sign(x) 2^round(log2 |x|)
LinearQuant(x, bits) = clip(round(x 2^(bits - 1)) 2^-(bits - 1), -limit, limit)
LogQuant(x, bits)    = clip(AP2(x), -limit, limit), zero below its least power
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from .rounding import straight_through

_LEAST = 2.0**-60


def approximate_power(x: Tensor) -> Tensor:
    """AP2: the nearest power of two on a logarithmic scale, with the sign of x; 0 for 0."""
    power = torch.exp2(torch.round(torch.log2(x.abs().clamp_min(_LEAST))))
    return torch.where(x == 0, torch.zeros_like(x), torch.sign(x) * power)


def linear_quant(x: Tensor, bits: int, limit: float = 1.0) -> Tensor:
    """LinearQuant; the gradient passes where |x| <= limit."""
    steps = limit / (1 << (bits - 1))
    clipped = x.clamp(-limit, limit)
    return straight_through(clipped, torch.round(clipped / steps).clamp(-(1 << (bits - 1)), (1 << (bits - 1)) - 1) * steps)


def log_quant(x: Tensor, bits: int, limit: float = 1.0) -> Tensor:
    """LogQuant: 2^(bits - 1) - 1 powers from that of `limit` down, with a sign, or zero; gradients pass where |x| <= limit."""
    clipped = x.clamp(-limit, limit)
    top = approximate_power(torch.tensor(limit))
    least = top * 2.0 ** -((1 << (bits - 1)) - 2)
    power = torch.minimum(approximate_power(clipped).abs(), top)
    return straight_through(clipped, torch.where(power < least, 0.0, torch.sign(clipped) * power))


class _RoundedGradient(torch.autograd.Function):
    """The identity, whose gradient is rounded on its way back."""

    @staticmethod
    def forward(context: Any, x: Tensor, bits: int) -> Tensor:
        context.bits = bits
        return x.view_as(x)

    @staticmethod
    def backward(context: Any, *gradients: Any) -> tuple[Tensor, None]:
        gradient = gradients[0]
        largest = float(gradient.abs().max().clamp_min(_LEAST))
        return log_quant(gradient, context.bits, largest), None


def rounded_gradient(x: Tensor, bits: int) -> Tensor:
    """x, whose gradient passes back as LogQuant of so many bits, relative to its largest element."""
    result: Tensor = _RoundedGradient.apply(x, bits)
    return result


class RoundedGradient(nn.Module):
    """`rounded_gradient` as a layer; nothing in evaluation, and nothing in what is exported."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = bits

    def forward(self, x: Tensor) -> Tensor:
        """Passes x itself on."""
        return rounded_gradient(x, self.bits) if self.training else x


class ShiftBatchNorm2d(nn.BatchNorm2d):
    """A batch norm in which every product is a shift (algorithm 3): deviations and factors are powers of two.

    In evaluation it is a batch norm whose factor gamma / sqrt(var + eps) is a power of two.
    """

    def forward(self, x: Tensor) -> Tensor:
        """The norm of a batch [N, C, ...], or the running one."""
        along = (1, -1, *[1] * (x.ndim - 2))
        if self.training:
            axes = (0, *range(2, x.ndim))
            mean = x.mean(axes)
            centered = x - mean.reshape(along)
            variance = (centered * approximate_power(centered.detach())).mean(axes)
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(variance, self.momentum)
        else:
            centered, variance = x - self.running_mean.reshape(along), self.running_var
        return centered * self.power(variance).reshape(along) + self.bias.reshape(along)

    def power(self, variance: Tensor) -> Tensor:
        """AP2(gamma) AP2(1 / sqrt(var + eps)); the gradient passes to gamma."""
        factor = straight_through(self.weight, approximate_power(self.weight.detach()))
        return factor * approximate_power(torch.rsqrt(variance.detach() + self.eps))


class ShiftAdaMax(torch.optim.Optimizer):
    """AdaMax whose steps are shifts (algorithm 4): the learning rate over the largest gradient is a power of two."""

    def __init__(
        self, params: Iterable[Any], lr: float = 2.0**-10, betas: tuple[float, float] = (1 - 2.0**-3, 1 - 2.0**-10)
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One step of all parameters that have a gradient."""
        loss = None if closure is None else closure()
        for group in self.param_groups:
            first, second = group["betas"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["count"], state["mean"] = 0, torch.zeros_like(parameter)
                    state["largest"] = torch.zeros_like(parameter)
                state["count"] += 1
                state["mean"].lerp_(parameter.grad, 1.0 - first)
                state["largest"] = torch.maximum(second * state["largest"], parameter.grad.abs())
                rate = approximate_power(group["lr"] / (1.0 - first ** state["count"]) / state["largest"].clamp_min(_LEAST))
                parameter.sub_(rate * state["mean"])
        return loss
