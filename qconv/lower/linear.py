"""The part that Conv, Gemm, MatMul and AveragePool share: weights, bias and a certified multiplier per channel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qconv.lower.context import Context
from qconv.quant.certify import certify_weight_scale, effective_scale
from qconv.quant.fixedpoint import Multiplier
from qconv.quant.params import accumulator_bounds, quantize_bias, quantize_weight
from qconv.quant.types import INT8, FloatArray, IntArray, QuantParams

# The largest relative change of a scale by certification is 2048 ulps = 2.5e-4; the bias moves by as much.
_BIAS_SLACK = 5e-4


@dataclass(frozen=True)
class Linear:
    """Operands of one linear layer: int8 codes, their scale (0-d or per channel), int32 bias, M per channel."""

    codes: IntArray
    scale: FloatArray
    zero_point: IntArray
    bias: NDArray[np.int32] | None
    multiplier: Multiplier

    @property
    def params(self) -> QuantParams:
        """The weight's parameters after certification; per channel along axis 0, whatever the layout of the codes."""
        return QuantParams(self.scale, self.zero_point, INT8, None if self.scale.ndim == 0 else 0)


def quantize_linear(
    ctx: Context, name: str, weight: NDArray[np.floating], bias: NDArray[np.floating] | None, summed: tuple[int, ...],
    x: QuantParams, w: QuantParams, y: QuantParams,
) -> Linear:  # fmt: skip
    """Quantizes a weight and a bias, and nudges the weight scale until requantization is proved for every accumulator."""
    codes = quantize_weight(weight, w)
    lo, hi = _reachable(codes, summed, bias, x, w)
    zero_point = int(y.zero_point)
    limits = np.iinfo(y.int_type.dtype)
    scale = np.atleast_1d(w.scale)
    if w.axis is None:
        lo, hi = np.reshape(lo.min(), 1), np.reshape(hi.max(), 1)
    scale, certificate = certify_weight_scale(x.scale, scale, y.scale, limits.min - zero_point, limits.max - zero_point, lo, hi)
    ctx.certificates[name] = certificate
    scale = scale.reshape(w.scale.shape)
    bias_codes = None if bias is None else quantize_bias(bias, x.scale, scale)
    return Linear(codes, scale, w.zero_point, bias_codes, Multiplier.of(effective_scale(x.scale, scale, y.scale)))


def _reachable(
    codes: IntArray, summed: tuple[int, ...], bias: NDArray[np.floating] | None, x: QuantParams, w: QuantParams
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Accumulator bounds with room for the bias to move while the scale is nudged."""
    lo, hi = accumulator_bounds(codes, summed, None, x)
    if bias is None:
        return lo, hi
    start = quantize_bias(bias, x.scale, w.scale).astype(np.int64)
    slack = np.ceil(np.abs(start) * _BIAS_SLACK).astype(np.int64) + 1
    return lo + start - slack, hi + start + slack
