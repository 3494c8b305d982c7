"""Weights for processors that add two products in 16 bits: x86 with AVX2 and without VNNI.

`vpmaddubsw` multiplies unsigned codes of the activation with signed codes of the weight, and adds the products of two neighbours
in int16, where they saturate. A pair (2i, 2i + 1), in the order in which the kernel goes through a row of the weight, is safe if

    |w[2i] + w[2i + 1]| <= 128 = floor(32767 / 255)      for weights of one sign; others cannot pass what one alone gives

Weights that keep to it give the same sums on every x86. A row is what one channel of the output is summed from.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qconv.quant.types import FloatArray, IntArray, IntType, QuantParams

Array = NDArray[Any]
PAIR_LIMIT = np.iinfo(np.int16).max // np.iinfo(np.uint8).max
_WIDENINGS = np.linspace(1.0, 2.0, 17)  # a scale twice as wide halves all codes, and every pair is safe
_CHUNK = 1 << 22  # elements of a weight tensor that are rounded at a time
_FOUND: dict[bytes, FloatArray] = {}  # safe scales by weight and scales: a search plans many times, and most weights stay
_MOST_FOUND = 4096


@dataclass(frozen=True)
class KernelOrder:
    """How a kernel goes through a weight: transposed to `axes`, of which the first `leading` count rows, the others elements.

    The last axis is seen as `width` elements, the missing ones zero: channels that tuning adds.
    """

    axes: tuple[int, ...]
    leading: int
    width: int

    def rows(self, weight: Array) -> Array:
        """The weight as [rows, K], K in the order of the kernel; a copy."""
        return self.as_rows(self.view(weight))

    def view(self, weight: Array) -> Array:
        """The weight with its axes in the order of the kernel, and at least one axis of rows."""
        moved = weight.transpose(self.axes)
        return moved if self.leading else moved[None]

    def as_rows(self, part: Array) -> Array:
        """A slice of `view` along its first axis, as [rows, K]."""
        added = self.width - part.shape[-1]
        padded = np.pad(part, [(0, 0)] * (part.ndim - 1) + [(0, added)]) if added else part
        rows = int(np.prod(part.shape[: max(self.leading, 1)]))
        return padded.reshape(rows, -1) if padded.size else padded.reshape(rows, 0)

    def from_rows(self, rows: Array, part: Array) -> Array:
        """What `as_rows` made of `part`, in the form of `part` again."""
        return rows.reshape(*part.shape[:-1], self.width)[..., : part.shape[-1]]


def unsafe_pairs(rows: IntArray) -> NDArray[np.bool_]:
    """Which pairs of codes [..., K] may saturate: [..., K // 2]. The last of an odd number stands alone and is safe."""
    first, second = _pairs(rows.astype(np.int16))
    same_sign = (first > 0) == (second > 0)
    unsafe: NDArray[np.bool_] = same_sign & (np.abs(first + second) > PAIR_LIMIT)
    return unsafe


def quantize_safely(weight: NDArray[np.floating], params: QuantParams, order: KernelOrder) -> IntArray:
    """Codes of a weight tensor without an unsafe pair; scales per channel lie along the first axis of rows."""
    codes = np.empty(weight.shape, params.int_type.dtype)
    source, target = order.view(weight), order.view(codes)
    step = max(1, _CHUNK * len(source) // max(weight.size, 1))
    for start in range(0, len(source), step):
        part = source[start : start + step]
        scale = params.scale if params.axis is None else params.scale[start : start + step]
        steps = part.astype(np.float32) / scale.reshape(-1, *[1] * (part.ndim - 1))
        target[start : start + step] = order.from_rows(_round(order.as_rows(steps), params.int_type), part)
    return codes


def safe_params(weight: NDArray[np.floating], params: QuantParams, order: KernelOrder) -> QuantParams:
    """The parameters whose safe codes lose least: each scale as it is, or up to twice as wide where pairs are at risk.

    The loss is the squared error of the weights. Each scale serves the same number of rows, one behind the other.
    """
    rows = order.rows(weight)
    digest = blake2b(np.ascontiguousarray(rows).data, digest_size=32).digest()
    key = digest + params.scale.tobytes() + str((rows.shape, params.int_type)).encode()
    found = _FOUND.get(key)
    if found is None:
        if len(_FOUND) >= _MOST_FOUND:
            _FOUND.clear()
        found = _FOUND[key] = _safe(rows, params)
    return QuantParams(found, params.zero_point, params.int_type, params.axis)


def _safe(rows: Array, params: QuantParams) -> FloatArray:
    scales = np.atleast_1d(params.scale)
    grouped = rows.reshape(len(scales), -1, rows.shape[-1])
    step = max(1, _CHUNK * len(scales) // max(rows.size, 1))
    parts = [
        _safe_scales(grouped[start : start + step], scales[start : start + step], params.int_type)
        for start in range(0, len(scales), step)
    ]
    found: FloatArray = np.concatenate(parts).reshape(params.scale.shape)
    return found


def _safe_scales(rows: Array, scales: FloatArray, int_type: IntType) -> FloatArray:
    """Safe scales for weights [C, R, K]: C of them."""
    exact = rows.astype(np.float32)
    codes = _nearest(exact / scales[:, None, None], int_type)
    at_risk = np.flatnonzero(unsafe_pairs(codes).any(axis=(1, 2)))
    exact, wider = exact[at_risk], scales.copy()
    best = np.full(len(at_risk), np.inf)
    for widening in _WIDENINGS:
        tried = (scales[at_risk] * widening).astype(np.float32)
        steps = exact / tried[:, None, None]
        loss = np.square(_round(steps, int_type) - steps).sum(axis=(1, 2), dtype=np.float64) * np.square(tried, dtype=np.float64)
        better = loss < best
        best[better] = loss[better]
        wider[at_risk[better]] = tried[better]
    return wider


def _round(steps: Array, int_type: IntType) -> IntArray:
    """The nearest codes [..., K] to real multiples of the scale, among those without an unsafe pair.

    What a pair has too much is taken from both alike, which is the least squared error.
    """
    codes = _nearest(steps, int_type)
    unsafe = unsafe_pairs(codes)
    first, second = _pairs(codes)
    one, other = (np.abs(part[unsafe]) for part in _pairs(steps))
    sign = np.sign(first[unsafe])
    share = np.rint(one - (one + other - PAIR_LIMIT) / 2)
    share = np.clip(share, PAIR_LIMIT - int_type.qmax, int_type.qmax).astype(np.int16)
    first[unsafe], second[unsafe] = sign * share, sign * (PAIR_LIMIT - share)
    return codes


def _nearest(steps: Array, int_type: IntType) -> IntArray:
    codes: IntArray = np.clip(np.rint(steps), int_type.qmin, int_type.qmax).astype(int_type.dtype)
    return codes


def _pairs(rows: Array) -> tuple[Array, Array]:
    """Views of the first and of the second elements of all pairs."""
    even = rows.shape[-1] // 2 * 2
    return rows[..., :even:2], rows[..., 1:even:2]
