"""Rounding that gradients pass through, and the roundings that training can choose from.

round(x) has a derivative of zero almost everywhere; the straight-through estimator says one instead (Hubara et al. 2016, 1.3).
"""

from __future__ import annotations

import torch
from torch import Tensor


def straight_through(value: Tensor, rounded: Tensor) -> Tensor:
    """The value of `rounded` with the gradient of `value`."""
    return value + (rounded - value).detach()


def round_half_even(x: Tensor) -> Tensor:
    """The nearest whole number, as the integer layer rounds; the gradient passes straight through."""
    return straight_through(x, torch.round(x))


def round_stochastically(x: Tensor) -> Tensor:
    """Rounds up with the probability of the fraction, so that the mean is x (Gholami et al. 2021, section III-H)."""
    return straight_through(x, torch.floor(x + torch.rand_like(x)))


def scaled_gradient(x: Tensor, factor: float) -> Tensor:
    """x, whose gradient is multiplied by `factor`."""
    return (x - x * factor).detach() + x * factor


def mixed(exact: Tensor, rounded: Tensor, part: float) -> Tensor:
    """A random `part` of the elements rounded, the others exact: QuantNoise (Gholami et al. 2021, section III-G)."""
    if part >= 1.0:
        return rounded
    return torch.where(torch.rand_like(exact) < part, rounded, exact)
