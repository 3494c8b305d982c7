"""Weights in blocks: a scale for each block of consecutive rows of a matrix [K, N] and each column.

    w[k, n] = scale[k // block, n] * q[k, n],      q in [-2^(bits-1), 2^(bits-1) - 1]

A scale may be negative, so that the element of a block that is largest in magnitude gets the code that reaches furthest. With
second moments, codes are rounded one row after the other with error feedback (rounding.py says how), else to the nearest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qconv.quant.params import SMALLEST_SCALE
from qconv.quant.types import FloatArray, IntArray

Float64Array = NDArray[np.float64]
_RIDGE = 0.03  # of the mean diagonal: keeps codes from making up for chance in the samples
_PANEL = 64  # rows between two updates of all that follow


@dataclass(frozen=True)
class Blocks:
    """Codes int8 [K, N] and float32 scales [ceil(K / block), N]."""

    codes: IntArray
    scales: FloatArray
    bits: int
    block: int

    @property
    def reals(self) -> FloatArray:
        """The weight that the codes stand for, [K, N]."""
        return np.asarray(self.codes * _by_row(self.scales, self.block, len(self.codes)), np.float32)


def nearest_blocks(weight: NDArray[np.floating], bits: int, block: int, importance: Float64Array | None = None) -> Blocks:
    """The nearest codes, with the scale of each block for which the squared error, weighed by `importance` [K], is least."""
    exact = weight.astype(np.float64)
    scales = _scales(exact, bits, block, np.ones(len(exact)) if importance is None else importance)
    codes = _clip(np.rint(exact / _by_row(scales, block, len(exact))), bits)
    return Blocks(codes.astype(np.int8), scales.astype(np.float32), bits, block)


def rounded_blocks(weight: NDArray[np.floating], hessian: Float64Array, bits: int, block: int) -> Blocks:
    """Codes that make (w - s q)' H (w - s q) of each column small; nearest ones where those are better. `hessian` is [K, K]."""
    exact = weight.astype(np.float64)
    diagonal = np.einsum("kk->k", hessian)
    mean = max(float(diagonal.mean()), float(SMALLEST_SCALE) ** 2)
    definite = hessian + _RIDGE * mean * np.eye(len(hessian))
    near = nearest_blocks(weight, bits, block, np.einsum("kk->k", definite))
    codes = _fed_back(exact, definite, _by_row(near.scales, block, len(exact)).astype(np.float64), bits)
    found = Blocks(codes.astype(np.int8), near.scales, bits, block)
    better = _losses(found.reals - exact, definite) < _losses(near.reals - exact, definite)
    return Blocks(np.where(better, found.codes, near.codes), near.scales, bits, block)


def _fed_back(exact: Float64Array, hessian: Float64Array, scales: Float64Array, bits: int) -> Float64Array:
    """Rounds rows, the most important first; what each loses is made good by those that follow."""
    order = np.argsort(-np.einsum("kk->k", hessian), kind="stable")
    factor = np.linalg.cholesky(np.linalg.inv(hessian[np.ix_(order, order)])).T
    wanted, steps = exact[order], scales[order]
    codes = np.empty_like(wanted)
    for start in range(0, len(wanted), _PANEL):
        stop = min(start + _PANEL, len(wanted))
        errors = np.empty_like(wanted[start:stop])
        for k in range(start, stop):
            codes[k] = _clip(np.rint(wanted[k] / steps[k]), bits)
            errors[k - start] = (wanted[k] - codes[k] * steps[k]) / factor[k, k]
            wanted[k + 1 : stop] -= factor[k, k + 1 : stop, None] * errors[k - start]
        wanted[stop:] -= factor[start:stop, stop:].T @ errors
    result = np.empty_like(codes)
    result[order] = codes
    return result


def _losses(error: Float64Array, hessian: Float64Array) -> Float64Array:
    return np.asarray((error * (hessian @ error)).sum(axis=0))


def _scales(exact: Float64Array, bits: int, block: int, importance: Float64Array) -> Float64Array:
    """The best of some scales for each block and column, of both signs; float32 numbers."""
    rows, columns = exact.shape
    count = -(-rows // block)
    padded = np.pad(exact, ((0, count * block - rows), (0, 0))).reshape(count, block, columns)
    weighed = np.pad(importance, (0, count * block - rows)).reshape(count, block, 1)
    largest = np.take_along_axis(padded, np.abs(padded).argmax(axis=1)[:, None], 1)[:, 0]
    base = -np.where(np.abs(largest) > float(SMALLEST_SCALE), largest, 1.0) / 2 ** (bits - 1)
    best, least = base, np.full(base.shape, np.inf)
    for factor in _factors(bits):
        scale = (base * factor).astype(np.float32).astype(np.float64)
        error = _clip(np.rint(padded / scale[:, None]), bits) * scale[:, None] - padded
        loss = (weighed * np.square(error)).sum(axis=1)
        best, least = np.where(loss < least, scale, best), np.minimum(loss, least)
    return np.asarray(best, np.float64)


def _factors(bits: int) -> NDArray[np.float64]:
    """How much narrower than its largest element a block may be: with few codes, clipping pays; and a turned sign."""
    narrow = {2: 0.35, 3: 0.5, 4: 0.65}.get(bits, 0.95)
    factors = np.linspace(narrow, 1.1, 16)
    return np.concatenate([factors[::-1], -factors[::-1]])


def _clip(codes: Float64Array, bits: int) -> Float64Array:
    return np.clip(codes, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _by_row(scales: NDArray[np.floating], block: int, rows: int) -> NDArray[np.floating]:
    return np.repeat(scales, block, axis=0)[:rows]
