"""The part that Conv, Gemm, MatMul and AveragePool share: weights, bias and a certified multiplier per channel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qconv.errors import ArtifactError
from qconv.quant.certify import Certificate, Interval, Reach, certify_one, certify_weight_scale, effective_scale
from qconv.quant.few_scales import MOST_SCALES
from qconv.quant.fixedpoint import Int64Array, Multiplier
from qconv.quant.grids import Grid
from qconv.quant.params import accumulator_bounds, accumulators_fit, quantize_bias, quantize_weight
from qconv.quant.saturation import KernelOrder, quantize_safely
from qconv.quant.types import INT8, FloatArray, IntArray, QuantParams
from qconv.targets import Target, WeightScales


@dataclass(frozen=True)
class Linear:
    """Operands of one linear layer: int8 codes, their scale (0-d or per channel), int32 bias, M per channel."""

    codes: IntArray
    scale: FloatArray
    zero_point: IntArray
    bias: NDArray[np.int32] | None
    multiplier: Multiplier
    certificate: Certificate

    @property
    def params(self) -> QuantParams:
        """The weight's parameters after certification; per channel along axis 0, whatever the layout of the codes."""
        return QuantParams(self.scale, self.zero_point, INT8, None if self.scale.ndim == 0 else 0)


def quantize_linear(
    target: Target, name: str, weight: NDArray[np.floating], bias: NDArray[np.floating] | None, summed: tuple[int, ...],
    x: QuantParams, w: QuantParams, y: QuantParams, order: KernelOrder | None, codes: IntArray | None = None,
    grid: Grid = Grid.FREE,
) -> Linear:  # fmt: skip
    """Quantizes a weight and a bias, and nudges the weight scale until requantization is proved for every accumulator.

    `order` is that of a kernel that may add products in 16 bits, None for one that never does. `codes` take the place of the
    nearest codes of the weight; they may be such as the kernel takes only over copies of channels (lower/copies.py).
    Raises ArtifactError where accumulators do not fit in int32.
    """
    safe_order = order if target.arithmetic.adds_pairs_in_int16 else None
    if codes is None:
        codes = quantize_weight(weight, w) if safe_order is None else quantize_safely(weight, w, safe_order)
    zero_point = int(y.zero_point)
    limits = np.iinfo(y.int_type.dtype)
    _check_int32(name, codes, summed, bias, x, w)
    ends = limits.min - zero_point, limits.max - zero_point
    scales, places = _scales(w, together=target.weight is WeightScales.FEW)
    reach = _reach(codes, summed, bias, x, places if w.axis is not None else None)
    scale, certificate = certify_weight_scale(
        x.scale, scales, y.scale, *ends, reach, grid, no_ties=target.arithmetic.rounds_ties_otherwise and grid.free
    )  # fmt: skip
    scale = scale[places].reshape(w.scale.shape)
    bias_codes = None if bias is None else quantize_bias(bias, x.scale, scale)
    multiplier = Multiplier.of(effective_scale(x.scale, scale, y.scale))
    return Linear(codes, scale, w.zero_point, bias_codes, multiplier, certificate)


def _check_int32(
    name: str, codes: IntArray, summed: tuple[int, ...], bias: NDArray[np.floating] | None, x: QuantParams, w: QuantParams
) -> None:
    """Raises ArtifactError where accumulators may leave int32, as under a plan that a person has edited; ours never do.

    Certification only raises the scale, and so makes the codes of the bias smaller.
    """
    if not accumulators_fit(codes, summed, bias, x, w.scale):
        raise ArtifactError(
            f"under this plan the accumulators of node {name} may leave int32; give its weight a wider scale, or plan it anew"
        )


def _scales(w: QuantParams, *, together: bool) -> tuple[FloatArray, NDArray[np.intp]]:
    """The scales to certify, and which of them each channel has: its own, or `together` a few that channels share."""
    scales, places = np.unique(w.scale, return_inverse=True)
    if together and len(scales) <= MOST_SCALES:
        return np.asarray(scales, np.float32), places.reshape(-1)
    return np.atleast_1d(w.scale), np.arange(w.scale.size)


def _reach(
    codes: IntArray, summed: tuple[int, ...], bias: NDArray[np.floating] | None, x: QuantParams, places: NDArray[np.intp] | None
) -> Reach:
    """The accumulators that the codes of a weight and of its bias can give; the bias follows the scale.

    `places` tells of each channel which scale it has, None where there is one.
    """
    lo, hi = (end.reshape(-1) if places is None else end for end in accumulator_bounds(codes, summed, None, x))
    spread = None if bias is None else np.broadcast_to(bias, lo.shape)
    of_channel = np.zeros(lo.shape, np.intp) if places is None else places

    def reach(scale: FloatArray, which: NDArray[np.int64]) -> Interval:
        ends = [_ends(lo, hi, spread, x, value, of_channel == place) for value, place in zip(scale, which, strict=True)]
        return np.asarray([end[0] for end in ends], np.int64), np.asarray([end[1] for end in ends], np.int64)

    def reach_of_channels(scale: FloatArray, which: NDArray[np.int64]) -> Interval:
        moved = np.int64(0) if spread is None else quantize_bias(spread[which], x.scale, scale).astype(np.int64)
        return lo[which] + moved, hi[which] + moved

    own = places is not None and np.array_equal(places, np.arange(lo.size))
    return reach_of_channels if own else reach


def _ends(
    lo: Int64Array, hi: Int64Array, bias: NDArray[np.floating] | None, x: QuantParams, scale: np.float32,
    which: NDArray[np.bool_],
) -> tuple[int, int]:  # fmt: skip
    """The least and the greatest accumulator of some channels with one scale."""
    moved = np.int64(0) if bias is None else quantize_bias(bias[which], x.scale, np.asarray(scale)).astype(np.int64)
    return int((lo[which] + moved).min()), int((hi[which] + moved).max())


def certified_activations(
    a: QuantParams, b: QuantParams, y: QuantParams, count: int, grid: Grid
) -> tuple[FloatArray, Multiplier, Certificate]:
    """The scale of a, nudged until the product of two activations is proved for every sum of `count` products."""
    zero_point, limits = int(y.zero_point), np.iinfo(y.int_type.dtype)
    ends = [(p.int_type.qmin - int(p.zero_point), p.int_type.qmax - int(p.zero_point)) for p in (a, b)]
    products = [count * left * right for left in ends[0] for right in ends[1]]

    def scale_of(scale: FloatArray) -> FloatArray:
        return effective_scale(scale, b.scale, y.scale)

    low, high = limits.min - zero_point, limits.max - zero_point
    scale, certificate = certify_one(a.scale, scale_of, low, high, min(products), max(products), grid)
    return scale, Multiplier.of(scale_of(scale)), certificate
