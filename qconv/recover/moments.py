"""Second moments of one layer: all that rounding needs to know of its samples.

    count     n, rows
    gram      sum x'x          [G, K, K]
    cross     sum x'y          [G, K, O]
    x, y      sum x, sum y     [G, K], [G, O]
    power     sum y^2          [G, O]

x are the codes of the layer's input, those of uint8 minus 128, and y its output in the float network in steps of 1/256 of a code:
both are whole numbers, so every sum is exact, and sums over shards of the samples add up to the same bytes in any order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qconv.quant.types import QuantParams

Float64Array = NDArray[np.float64]
_MIDDLE = {np.dtype(np.uint8): 128, np.dtype(np.int8): 0}
_EXACT_ROWS = 1024  # 1024 products of up to 128 * 128 are whole numbers up to 2^24: sums of float32 are exact


@dataclass(frozen=True)
class Moments:
    """Sums over rows; the shapes are those above."""

    count: int
    gram: Float64Array
    cross: Float64Array
    x: Float64Array
    y: Float64Array
    power: Float64Array

    @classmethod
    def of(cls, x: NDArray[np.integer[Any]], y: NDArray[np.floating[Any]], step: float) -> Moments:
        """The moments of codes [G, R, K] and outputs [G, R, O]; `step` is the width of a code of the output."""
        (groups, count, columns), outputs = x.shape, y.shape[2]
        gram, cross = np.zeros((groups, columns, columns)), np.zeros((groups, columns, outputs))
        sums, out, power = np.zeros((groups, columns)), np.zeros((groups, outputs)), np.zeros((groups, outputs))
        for start in range(0, count, _EXACT_ROWS):
            rows = x[:, start : start + _EXACT_ROWS].astype(np.float32) - np.float32(_MIDDLE[x.dtype])
            steps = np.rint(y[:, start : start + _EXACT_ROWS].astype(np.float64) * (256.0 / step))
            gram += rows.transpose(0, 2, 1) @ rows
            cross += rows.astype(np.float64).transpose(0, 2, 1) @ steps
            sums += rows.sum(axis=1, dtype=np.float64)
            out += steps.sum(axis=1)
            power += np.square(steps).sum(axis=1)
        return cls(count, gram, cross, sums, out, power)

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.count + other.count,
            self.gram + other.gram,
            self.cross + other.cross,
            self.x + other.x,
            self.y + other.y,
            self.power + other.power,
        )


@dataclass(frozen=True)
class Fit:
    """The moments of a layer in reals, about the means or, for a layer without a bias, about zero.

    For weights v [G, K, O] with their best bias, mean_y - v'mean_x, the squared error is  power - 2 v't + v'H v.
    """

    hessian: Float64Array
    target: Float64Array
    power: Float64Array
    mean_x: Float64Array
    mean_y: Float64Array
    has_bias: bool

    @classmethod
    def of(cls, moments: Moments, x: QuantParams, y_step: float, *, has_bias: bool) -> Fit:
        """The moments in units of the network: `x` are the parameters of the layer's input. There is at least one row."""
        n, a, b, offset = moments.count, float(x.scale), y_step / 256.0, _MIDDLE[x.int_type.dtype] - int(x.zero_point)
        # The sums of x' = x + offset, the codes minus their zero point.
        x_sum, y_sum = moments.x + n * offset, moments.y
        mixed = offset * moments.x
        gram = moments.gram + mixed[:, :, None] + mixed[:, None, :] + n * offset**2
        cross = moments.cross + offset * y_sum[:, None, :]
        power = moments.power
        if has_bias:
            gram = gram - x_sum[:, :, None] * x_sum[:, None, :] / n
            cross = cross - x_sum[:, :, None] * y_sum[:, None, :] / n
            power = power - np.square(y_sum) / n
        return cls(a * a * gram / n, a * b * cross / n, b * b * power / n, a * x_sum / n, b * y_sum / n, has_bias)

    def bias(self, v: Float64Array) -> Float64Array:
        """The best bias [G, O] for weights [G, K, O]; zeros for a layer that has none."""
        if not self.has_bias:
            return np.zeros_like(self.mean_y)
        return np.asarray(self.mean_y - (v * self.mean_x[:, :, None]).sum(axis=1))

    def loss(self, v: Float64Array, bias: Float64Array) -> float:
        """The mean squared error of weights [G, K, O] and a bias [G, O], summed over the outputs."""
        about = self.power - 2.0 * (v * self.target).sum(axis=1) + (v * (self.hessian @ v)).sum(axis=1)
        return float(about.sum() + (np.square(self.bias(v) - bias).sum() if self.has_bias else 0.0))
