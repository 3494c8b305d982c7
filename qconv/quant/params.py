"""From ranges to (S, Z): what a range, a weight tensor and a bias become.

S = (hi - lo) / (qmax - qmin),  Z = round(qmin - lo / S)     affine; zero is a code      (Jacob et al. 2018, 12-13)
S = max|x| / qmax,              Z = 0                        symmetric
S_bias = S_x S_w,               Z_bias = 0                   int32                       (11)
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from qconv.quant.fixedpoint import ACC_LIMIT, Int64Array
from qconv.quant.grids import shortened
from qconv.quant.types import FloatArray, IntArray, IntType, PerChannel, QuantParams, Scheme

# Below this a product of two scales leaves the normal float32 numbers, where onnxruntime computes the multiplier.
SMALLEST_SCALE = np.float32(2.0**-60)
_CHUNK = 1 << 24  # elements of a weight tensor that are quantized at a time


def params_of_range(lo: float, hi: float, scheme: Scheme) -> QuantParams:
    """Per-tensor parameters that cover [lo, hi] and represent 0.0 exactly.

    A tensor that is always zero gets the range [0, 1]. Raises ValueError when the range is not finite.
    """
    if not (np.isfinite(lo) and np.isfinite(hi)):
        raise ValueError(f"the range [{lo}, {hi}] is not finite")
    int_type = scheme.int_type
    lo, hi = min(float(lo), 0.0), max(float(hi), 0.0)
    if lo == hi:
        hi = 1.0
    if scheme.symmetric:
        bound, zero_point = max(-lo, hi), 0
        if not int_type.signed:
            zero_point = 1 << (int_type.bits - 1)
        scale = _stored(bound / (int_type.qmax - zero_point), scheme)
    else:
        scale = _stored((hi - lo) / (int_type.qmax - int_type.qmin), scheme)
        zero_point = int(np.clip(np.rint(int_type.qmin - lo / float(scale)), int_type.qmin, int_type.qmax))
    return QuantParams(scale, np.asarray(zero_point), int_type)


def params_of_constant(array: NDArray[np.floating], scheme: Scheme) -> QuantParams:
    """Parameters of a constant operand, from its own extremes."""
    if array.size == 0:
        return params_of_range(0.0, 0.0, scheme)
    return params_of_range(float(array.min()), float(array.max()), scheme)


def params_of_values(values: NDArray[np.floating], int_type: IntType) -> QuantParams:
    """Parameters of a tensor that takes no other values than these; two that lie around zero, as -1 and +1 do, are exact."""
    lo, hi = float(values.min(initial=0.0)), float(values.max(initial=0.0))
    if lo == -hi != 0.0:
        middle = 1 << (int_type.bits - 1)
        return QuantParams(_at_least_smallest(hi / (middle - 1)), np.asarray(int_type.qmin + middle), int_type)
    return params_of_range(lo, hi, Scheme(int_type))


def params_of_weight(weight: NDArray[np.floating], scheme: Scheme) -> QuantParams:
    """Symmetric parameters of a weight tensor, per tensor or per channel; zero point 0.

    A channel of zeros takes the smallest scale of the others, so that its bias keeps their precision.
    """
    axis = scheme.granularity.axis if isinstance(scheme.granularity, PerChannel) else None
    largest = _largest_magnitude(weight, axis)
    live = largest[largest > 0]
    largest = np.where(largest > 0, largest, live.min() if live.size else 1.0)
    scale = _stored(largest / scheme.int_type.qmax, scheme)
    return QuantParams(scale, np.zeros(scale.shape, scheme.int_type.dtype), scheme.int_type, axis)


def widen_for_accumulator(
    params: QuantParams,
    weight: NDArray[np.floating],
    bias: NDArray[np.floating] | None,
    x_params: QuantParams,
    summed: tuple[int, ...],
) -> tuple[QuantParams, int]:
    """Raises weight scales until |sum| + |bias| < 2^31 for every input; returns the parameters and how many were raised.

    `summed` are the axes of the weight that one accumulator sums over. The sum is at most reach * sum|w_q| and the bias
    is round(b / (S_x S_w)); both shrink as S_w grows.
    """
    reach = max(x_params.int_type.qmax - int(x_params.zero_point), int(x_params.zero_point) - x_params.int_type.qmin)
    magnitude = np.abs(weight).sum(axis=summed, dtype=np.float64) * reach
    offset = np.float64(0) if bias is None else np.abs(bias.astype(np.float64)) / float(x_params.scale)
    # Half the limit leaves room for rounding each weight up and for the ulps that certification adds.
    needed = (magnitude + offset) / (ACC_LIMIT // 2)
    if params.axis is None:
        needed = needed.max(initial=0.0)
    scale = np.maximum(params.scale, needed.astype(np.float32))
    return QuantParams(scale, params.zero_point, params.int_type, params.axis), int((scale > params.scale).sum())


def quantize_weight(weight: NDArray[np.floating], params: QuantParams) -> IntArray:
    """The nearest codes of a weight tensor; in blocks along its first axis, so that a large one is not copied whole."""
    if weight.ndim == 0:
        return params.quantize(weight)
    codes = np.empty(weight.shape, params.int_type.dtype)
    step = max(1, _CHUNK * len(weight) // max(weight.size, 1))
    for start in range(0, len(weight), step):
        rows = slice(start, start + step)
        part = replace(params, scale=params.scale[rows], zero_point=params.zero_point[rows]) if params.axis == 0 else params
        codes[rows] = part.quantize(weight[rows])
    return codes


def quantize_bias(bias: NDArray[np.floating], x_scale: FloatArray, w_scale: FloatArray) -> NDArray[np.int32]:
    """round(b / (S_x S_w)) in int32. Raises ValueError where it does not fit: `widen_for_accumulator` comes first."""
    codes = np.rint(bias.astype(np.float64) / (x_scale.astype(np.float64) * w_scale.astype(np.float64)))
    if (np.abs(codes) >= ACC_LIMIT).any():
        raise ValueError("a bias does not fit in int32")
    return codes.astype(np.int32)


def accumulator_bounds(
    w_q: IntArray, summed: tuple[int, ...], bias_q: IntArray | None, x_params: QuantParams
) -> tuple[Int64Array, Int64Array]:
    """The least and the greatest accumulator over all inputs; int64, of the weight's shape without the `summed` axes.

    Padding contributes zero, which lies between the extremes of every product.
    """
    lo = x_params.int_type.qmin - int(x_params.zero_point)
    hi = x_params.int_type.qmax - int(x_params.zero_point)
    positive = np.maximum(w_q, 0).sum(axis=summed, dtype=np.int64)
    negative = np.minimum(w_q, 0).sum(axis=summed, dtype=np.int64)
    bias = np.int64(0) if bias_q is None else bias_q.astype(np.int64)
    return positive * lo + negative * hi + bias, positive * hi + negative * lo + bias


def accumulators_fit(
    w_q: IntArray, summed: tuple[int, ...], bias: NDArray[np.floating] | None, x_params: QuantParams, w_scale: FloatArray
) -> bool:
    """Whether |sum| + |bias| < 2^31 for every input, with the bias in units of S_x S_w."""
    lo, hi = accumulator_bounds(w_q, summed, None, x_params)
    unit = float(x_params.scale) * w_scale.astype(np.float64)
    moved = np.float64(0) if bias is None else np.rint(bias.astype(np.float64) / unit)
    return bool(max(-(lo + moved).min(initial=0), (hi + moved).max(initial=0), np.abs(moved).max()) < ACC_LIMIT)


def _stored(scale: float | NDArray[np.floating], scheme: Scheme) -> FloatArray:
    """Scales in float32, with as few bits as the scheme says."""
    return _at_least_smallest(shortened(scale, scheme.scale_bits))


def _at_least_smallest(scale: float | NDArray[np.floating]) -> FloatArray:
    return np.maximum(np.asarray(scale, np.float32), SMALLEST_SCALE)


def _largest_magnitude(weight: NDArray[np.floating], axis: int | None) -> NDArray[np.float64]:
    others = None if axis is None else tuple(i for i in range(weight.ndim) if i != axis)
    if weight.size == 0:
        return np.zeros(() if axis is None else (weight.shape[axis],))
    return np.asarray(np.maximum(weight.max(axis=others), -weight.min(axis=others)), np.float64)
