"""Simulated quantization of activations and weights: what the integer network does to a tensor, in floating point.

q = clip(round(x / S) + Z, qmin, qmax),  x' = S (q - Z)                    (Jacob et al. 2018, equation 12)

Steps S are float32 numbers and zero points Z whole ones, so that zero is a code (equation 13). What is learned of a step is its
logarithm, so that a learning rate is relative to it, whatever the network's scale.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from qconv.quant.pins import with_sign
from qconv.quant.saturation import PAIR_LIMIT, KernelOrder, safe_params
from qconv.quant.types import IntType, QuantParams

from .frozen import FrozenPair
from .pairs import safe_codes
from .rounding import mixed, round_half_even, round_stochastically, scaled_gradient, straight_through
from .settings import Training

_SMALLEST = 2.0**-60
_LEAST_SPAN = 1e-6


class Clock(nn.Module):
    """How many steps training has made; all parts of a network read one."""

    steps: Tensor

    def __init__(self, training: Training) -> None:
        super().__init__()
        self.settings = training
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    @property
    def activations_are_rounded(self) -> bool:
        """Whether the delay is over."""
        return int(self.steps) >= self.settings.delay

    @property
    def batch_norms_are_frozen(self) -> bool:
        """Whether batch norms use their running statistics also in training."""
        return int(self.steps) >= self.settings.freeze


class ActivationQuantizer(nn.Module):
    """Rounds one activation, with one S and Z.

    `limits` fixes the range, as the mathematics of a Softmax does. While activations are not rounded yet, the range follows what
    passes; a learned step begins from there.
    """

    low: Tensor
    high: Tensor
    mean: Tensor
    seen: Tensor

    def __init__(self, int_type: IntType, clock: Clock, limits: tuple[float, int] | None = None) -> None:
        super().__init__()
        self.int_type, self._clock, self._fixed = int_type, [clock], limits
        self.tensor: str | None = None  # of an ONNX graph, where it came from one
        for name in ("low", "high", "mean", "seen"):
            self.register_buffer(name, torch.zeros(()))
        self.learned = None if limits is not None else clock.settings.activations
        self.log_step = nn.Parameter(torch.full((), math.nan), requires_grad=self.learned in ("lsq", "lsq+"))
        self.offset = nn.Parameter(torch.zeros(()), requires_grad=self.learned == "lsq+")
        self.bound = nn.Parameter(torch.full((), math.nan), requires_grad=self.learned == "pact")

    @property
    def clock(self) -> Clock:
        """The clock of the network, which is no part of this module."""
        return self._clock[0]

    @property
    def ready(self) -> bool:
        """Whether there is a range; the first batch gives one."""
        return self._fixed is not None or (int(self.seen) > 0 if self.learned == "ema" else not bool(torch.isnan(self.log_step)))

    def forward(self, x: Tensor) -> Tensor:
        """x as its codes have it, with the gradient of the range's method."""
        clock = self.clock
        if self.training:
            if not clock.activations_are_rounded or self.learned == "ema":
                self._follow(x.detach())
            if not clock.activations_are_rounded:
                return x
        self._begin(x.detach())
        if self.training and self.learned == "pact":
            x = torch.minimum(torch.maximum(x, -self.bound.abs() if self._goes_below_zero else torch.zeros_like(self.bound)),
                              self.bound.abs())  # fmt: skip
        scale, zero_point = self.step_and_zero(x.numel() if self.training else 0)
        scale, zero_point = scale.to(x.dtype), zero_point.to(x.dtype)
        codes = round_half_even(torch.clamp(x / scale, self.int_type.qmin - zero_point, self.int_type.qmax - zero_point))
        return codes * scale

    def begin_with(self, params: QuantParams) -> None:
        """Takes a step and a zero point that were found by other means, those of a fixed range excepted."""
        if self._fixed is not None:
            return
        given = with_sign(params, self.int_type.signed)
        low, high = given.ends
        with torch.no_grad():
            self.log_step.fill_(math.log(float(given.scale)))
            self.offset.fill_(float(given.zero_point))
            self.bound.fill_(max(high, -low))
            self.low.fill_(low)
            self.high.fill_(high)
            self.seen.fill_(1)

    def frozen(self) -> FrozenPair:
        """The same rounding, without anything that is learned."""
        return FrozenPair(*self.params(), self.int_type)

    def params(self) -> tuple[Tensor, int]:
        """The float32 scale and the whole zero point."""
        with torch.no_grad():
            scale, zero_point = self.step_and_zero(0)
        return scale.float(), int(zero_point)

    def quant_params(self) -> QuantParams:
        """The same as the rest of qconv has them."""
        scale, zero_point = self.params()
        return QuantParams(scale.numpy(), np.asarray(zero_point), self.int_type)

    def step_and_zero(self, elements: int) -> tuple[Tensor, Tensor]:
        """S and Z; with gradients where they are learned, scaled by 1 / sqrt(elements * qmax) as LSQ does."""
        levels = self.int_type.qmax - self.int_type.qmin
        if self._fixed is not None:
            return torch.tensor(self._fixed[0]), torch.tensor(float(self._fixed[1]))
        if self.learned in ("lsq", "lsq+"):
            factor = 1.0 / math.sqrt(max(elements, 1) * levels)
            log_step = scaled_gradient(self.log_step, factor) if elements else self.log_step
            scale = torch.exp(log_step.float())
            offset = scaled_gradient(self.offset, factor) if elements and self.learned == "lsq+" else self.offset
            zero_point = torch.clamp(round_half_even(offset), self.int_type.qmin, self.int_type.qmax)
            return scale.clamp_min(_SMALLEST), zero_point
        low, high = self._range()
        scale = ((high - low) / levels).clamp_min(_SMALLEST)
        return scale, torch.clamp(torch.round(self.int_type.qmin - low / scale), self.int_type.qmin, self.int_type.qmax)

    @property
    def _goes_below_zero(self) -> bool:
        """Whether the range needs codes below zero."""
        return bool(self.low < 0)

    def _range(self) -> tuple[Tensor, Tensor]:
        if self.learned == "pact":
            bound = self.bound.detach().abs().float()
            return (-bound if self._goes_below_zero else torch.zeros_like(bound)), bound
        low, high = self.low.float(), self.high.float()
        return low, torch.maximum(high, low + _LEAST_SPAN)

    def _follow(self, x: Tensor) -> None:
        """The extremes and the mean magnitude, averaged over the batches with a weight that falls exponentially."""
        smoothing = 0.0 if int(self.seen) == 0 else min(self.clock.settings.smoothing, 1.0 - 1.0 / (float(self.seen) + 1.0))
        found = (x.min().clamp(max=0.0), x.max().clamp(min=0.0), x.abs().mean())
        for buffer, new in zip((self.low, self.high, self.mean), found, strict=True):
            buffer.lerp_(new.to(buffer.dtype), 1.0 - smoothing)
        self.seen += 1

    def _begin(self, x: Tensor) -> None:
        """Sets what is learned from what was seen, once."""
        if self.ready:
            return
        if int(self.seen) == 0:
            self._follow(x)
        levels = self.int_type.qmax - self.int_type.qmin
        low, high = float(self.low), max(float(self.high), float(self.low) + _LEAST_SPAN)
        # Of few codes, most of a bell's mass counts and not its ends: LSQ begins with 2 E|x| / sqrt(qmax).
        step = (high - low) / levels
        if self.int_type.bits < 8:
            reach = levels / 2 if low < 0 else levels
            step = min(step, 2.0 * float(self.mean) / math.sqrt(reach)) or step
        ratio = -low / (high - low)
        with torch.no_grad():
            self.log_step.fill_(math.log(step))
            self.offset.fill_(round(self.int_type.qmin + ratio * levels))
            self.bound.fill_(max(high, -low))


class WeightQuantizer(nn.Module):
    """Rounds a weight, symmetric, with a scale for each channel along `axis` 0 or one for all; zero point 0.

    Codes lie in [-limit, limit]; with an `order`, no pair of neighbours in it saturates.
    """

    widening: Tensor

    def __init__(
        self, channels: int, rank: int, bits: int, clock: Clock, *, per_tensor: bool, order: KernelOrder | None = None
    ) -> None:
        super().__init__()
        self.bits, self.limit, self._clock = bits, (1 << (bits - 1)) - 1, [clock]
        self.order = order if 2 * self.limit > PAIR_LIMIT else None
        self.per_tensor = per_tensor
        self._shape = (1,) * rank if per_tensor else (channels, *(1,) * (rank - 1))
        self.log_step = nn.Parameter(torch.full(self._shape, math.nan), requires_grad=clock.settings.weights == "lsq")
        self.register_buffer("widening", torch.full(self._shape, math.nan))

    def forward(self, weight: Tensor) -> Tensor:
        """The weight as its codes have it."""
        settings = self._clock[0].settings
        scale = self.scale(weight, learn=self.training).to(weight.dtype)
        steps = torch.clamp(weight / scale, -self.limit, self.limit)
        stochastic = self.training and settings.stochastic
        codes = round_stochastically(steps) if stochastic else round_half_even(steps)
        rounded = (codes if self.order is None else straight_through(steps, self._safe(codes, steps))) * scale
        return mixed(weight, rounded, settings.noise) if self.training else rounded

    @property
    def ready(self) -> bool:
        """Whether there are scales; the first weight gives them."""
        settled = self.order is None or not bool(torch.isnan(self.widening).any())
        return settled and (self._clock[0].settings.weights == "minmax" or not bool(torch.isnan(self.log_step).any()))

    def begin_with(self, scale: Tensor) -> None:
        """Takes scales that were found by other means; 0-d, or one for each channel."""
        with torch.no_grad():
            self.log_step.copy_(torch.log(scale).expand(self.log_step.numel()).reshape(self._shape))
            self.widening.fill_(1.0)

    def codes(self, weight: Tensor, scale: Tensor) -> Tensor:
        """The int8 codes under a scale, in the form of `scale`."""
        with torch.no_grad():
            scale = scale.to(weight.dtype)
            steps = torch.clamp(weight / scale, -self.limit, self.limit)
            return self._safe(torch.round(steps), steps).to(torch.int8)

    def _best_widening(self, weight: Tensor, scale: Tensor) -> Tensor:
        """By how much, from 1 to 2, scales are widened so that what safe pairs lose is least; settled with the first weight."""
        assert self.order is not None
        flat = scale.reshape(() if self.per_tensor else -1).numpy()
        int_type = IntType(self.bits, signed=True, narrow=True)
        params = QuantParams(flat, np.zeros(flat.shape, np.int8), int_type, None if self.per_tensor else 0)
        wider = safe_params(weight.float().numpy(), params, self.order).scale
        return torch.from_numpy(np.asarray(wider / flat)).reshape(scale.shape)

    def _safe(self, codes: Tensor, steps: Tensor) -> Tensor:
        return codes if self.order is None else safe_codes(codes.detach(), steps.detach(), self.order, self.limit)

    def scale(self, weight: Tensor, *, learn: bool) -> Tensor:
        """S, in the form that broadcasts over the weight."""
        axes = tuple(range(0 if self.per_tensor else 1, weight.ndim))
        largest = weight.detach().abs().amax(axes, keepdim=True).float()
        from_extremes = (largest / self.limit).clamp_min(_SMALLEST)
        if self.order is not None:
            if bool(torch.isnan(self.widening).any()):
                self.widening.copy_(self._best_widening(weight.detach(), from_extremes))
            from_extremes = from_extremes * self.widening
        if self._clock[0].settings.weights == "minmax":
            return from_extremes
        if bool(torch.isnan(self.log_step).any()):
            mean = weight.detach().abs().mean(axes, keepdim=True).float()
            begin = torch.minimum(2.0 * mean / math.sqrt(self.limit), from_extremes) if self.bits < 8 else from_extremes
            with torch.no_grad():
                self.log_step.copy_(torch.log(begin.clamp_min(_SMALLEST)))
        if not learn:
            return torch.exp(self.log_step.float()).clamp_min(_SMALLEST)
        elements = weight.numel() / self.log_step.numel()
        log_step = scaled_gradient(self.log_step, 1.0 / math.sqrt(elements * self.limit))
        return torch.exp(log_step.float()).clamp_min(_SMALLEST)
