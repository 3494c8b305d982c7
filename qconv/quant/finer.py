"""Few-bit weights with whole multiples of their codes, so that their bias is met more closely.

    S_w q = (S_w / f) (f q)        for a whole number f: the same reals, and a bias in steps of S_x S_w / f

With few bits S_x S_w is coarse, and rounding a bias to it moves outputs by whole codes; int8 has room for a factor.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qconv.quant.params import accumulators_fit
from qconv.quant.types import INT8, IntArray, QuantParams

MATTERS = 0.01  # of an output code: what is less changes fewer than one output code in a hundred
_SEEN = 0.0005  # a tensor of few bits has few codes, each of which moves many codes of 8 bits behind it


def bias_moves(bias: NDArray[np.floating], x: QuantParams, scale: NDArray[np.floating], y: QuantParams) -> NDArray[np.float64]:
    """By how many codes of the output each channel moves where its bias is rounded to S_x S_w."""
    unit = float(x.scale) * scale.astype(np.float64)
    return np.abs(bias - np.rint(bias / unit) * unit) / float(y.scale)


def finer_params(
    params: QuantParams, codes: IntArray, summed: tuple[int, ...], bias: NDArray[np.floating] | None, x: QuantParams,
    y: QuantParams, largest: int,
) -> QuantParams:  # fmt: skip
    """The parameters with each scale divided by the whole number under which the bias moves least.

    Codes stay within `largest`, and accumulators within int32. Channels lie along the axis of `params`.
    """
    if bias is None or bias_moves(bias, x, params.scale, y).max(initial=0.0) <= _SEEN:
        return params
    others = tuple(axis for axis in range(codes.ndim) if axis != params.axis) if params.axis is not None else None
    room = largest // np.maximum(np.abs(codes).max(axis=others, initial=0), 1)
    moved = np.where(room < 1, 0.0, np.inf)  # codes that leave no room stay
    factor = np.ones(params.scale.shape, np.int64)
    for wider in range(1, int(room.max(initial=0)) + 1):
        found = bias_moves(bias, x, (params.scale / np.float32(wider)).astype(np.float32), y)
        found = found if params.axis is not None else found.max(initial=0.0)
        better = (wider <= room) & (found < moved)
        moved, factor = np.where(better, found, moved), np.where(better, wider, factor)
    finer = QuantParams((params.scale / factor.astype(np.float32)).astype(np.float32), params.zero_point, INT8, params.axis)
    multiples = codes.astype(np.int64) * (factor if params.axis is None else np.expand_dims(factor, others or ()))
    return finer if (factor > 1).any() and accumulators_fit(multiples, summed, bias, x, finer.scale) else params
