"""Second-order rounding of one layer: integers q that minimise (s q - v)' H (s q - v).

Columns are rounded one after the other, the most important first, and what each loses is made good by those that follow (error
feedback, as in Optimal Brain Surgeon and GPTQ, Frantar et al. 2022); then single codes, and pairs of codes, move while that
lowers the loss (coordinate descent, steepest first).

Where neighbours must not saturate (quant/saturation.py), the pairs (2i, 2i + 1) of the K rows keep |q[2i] + q[2i + 1]| <= 128
if their signs are alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qconv.quant.saturation import PAIR_LIMIT
from qconv.quant.types import BoolArray, IntArray
from qconv.recover.moments import Float64Array

_BLOCK = 64
_MOVES = 200  # of each output, and two more for each column


@dataclass(frozen=True)
class Levels:
    """The codes that a weight may take: all of [qmin, qmax] or, ascending, `codes`.

    `pairs` tells whether neighbours are tied to safe pairs; codes of a set never are.
    """

    qmin: int
    qmax: int
    pairs: bool
    codes: Float64Array | None = None

    @classmethod
    def of(cls, codes: IntArray) -> Levels:
        """A set of codes."""
        return cls(int(codes[0]), int(codes[-1]), pairs=False, codes=codes.astype(np.float64))

    def nearest(self, want: Float64Array) -> Float64Array:
        """The nearest codes to real multiples of the scale, whatever their neighbours are."""
        if self.codes is None:
            return np.clip(np.rint(want), self.qmin, self.qmax)
        return np.asarray(self.codes[np.searchsorted((self.codes[:-1] + self.codes[1:]) / 2.0, want)])

    def beside(self, codes: Float64Array, way: Float64Array) -> tuple[Float64Array, BoolArray]:
        """The next codes in a direction, -1 or +1, and which there are."""
        if self.codes is None:
            moved = codes + way
            return moved, (moved >= self.qmin) & (moved <= self.qmax)
        places = np.searchsorted(self.codes, codes) + way.astype(np.int64)
        there = (places >= 0) & (places < len(self.codes))
        return self.codes[np.where(there, places, 0)], there


def rounded(hessian: Float64Array, v: Float64Array, scale: Float64Array, levels: Levels) -> Float64Array:
    """Codes [G, K, O] for weights v [G, K, O] with scales [G, O], by error feedback alone. `hessian` is positive definite."""
    order = np.argsort(-np.einsum("gkk->gk", hessian), axis=1, kind="stable")
    by_row = np.take_along_axis(hessian, order[:, :, None], 1)
    factor = _inverse_factor(np.take_along_axis(by_row, order[:, None, :], 2))
    groups, count = np.arange(len(order)), order.shape[1]
    # One more row than there are columns: the neighbour of one that has none.
    steps = np.pad(np.take_along_axis(v, order[:, :, None], 1) / scale[:, None, :], ((0, 0), (0, 1), (0, 0)))
    codes = np.full_like(steps, np.nan)
    partner = _partners(order)
    for start in range(0, count, _BLOCK):
        stop = min(start + _BLOCK, count)
        errors = np.empty_like(steps[:, start:stop])
        for k in range(start, stop):
            beside = partner[:, k]
            codes[:, k] = _code(steps[:, k], steps[groups, beside], codes[groups, beside], levels)
            error = (steps[:, k] - codes[:, k]) / factor[:, k, k][:, None]
            steps[:, k + 1 : stop] -= factor[:, k, k + 1 : stop, None] * error[:, None, :]
            errors[:, k - start] = error
        steps[:, stop:count] -= factor[:, start:stop, stop:].transpose(0, 2, 1) @ errors
    result = np.empty_like(v)
    np.put_along_axis(result, np.broadcast_to(order[:, :, None], v.shape), codes[:, :count], 1)
    return result


def descended(hessian: Float64Array, v: Float64Array, scale: Float64Array, codes: Float64Array, levels: Levels) -> Float64Array:
    """Codes whose loss is lowered one move at a time, each output [G, O] by the move that gains it most.

    A move is one step of a code or, where neighbours are tied, one step up of a code and one down of its neighbour. It ends where
    no move gains, or after a few hundred.
    """
    groups, outputs = np.nonzero(np.ones_like(scale, bool))  # one line for each output that may still gain
    result, scales = codes.copy(), scale[groups, outputs]
    slope = (hessian @ (codes * scale[:, None, :] - v))[groups, :, outputs]
    diagonal = np.einsum("gkk->gk", hessian)[groups]
    crossed = _crossed(hessian)[groups] if levels.pairs else np.zeros((len(groups), 0))
    current = codes[groups, :, outputs]
    for _ in range(_MOVES + 2 * codes.shape[1]):
        gains, ways = _gains(current, slope, scales, diagonal, crossed, levels)
        best = gains.argmax(axis=1)
        lines = np.arange(len(best))
        active = gains[lines, best] > 1e-9 * scales * diagonal.max(axis=1)
        stopped = ~active
        result[groups[stopped], :, outputs[stopped]] = current[stopped]
        if not active.any():
            return result
        kept = (array[active] for array in (groups, outputs, scales, slope, diagonal, crossed, current, best, ways))
        groups, outputs, scales, slope, diagonal, crossed, current, best, ways = kept
        _move(hessian, groups, scales, slope, current, best, ways)
    result[groups, :, outputs] = current
    return result


def _gains(
    codes: Float64Array, slope: Float64Array, scales: Float64Array, diagonal: Float64Array, crossed: Float64Array, levels: Levels
) -> tuple[Float64Array, Float64Array]:
    """What each move of each line gains, [L, K + pairs], and its direction; minus infinity where it is not allowed."""
    step = scales[:, None]
    way = -np.sign(slope)
    moved, allowed = levels.beside(codes, way)
    if not levels.pairs:
        ways = moved - codes
        gains = 2.0 * np.abs(slope * ways) - step * diagonal * np.square(ways)
        return np.where(allowed & (ways != 0.0), gains, -np.inf), ways
    gains = 2.0 * np.abs(slope) - step * diagonal
    even = codes.shape[1] // 2 * 2
    first, second = codes[:, :even:2], codes[:, 1:even:2]
    allowed[:, :even:2] &= _safe(moved[:, :even:2], second)
    allowed[:, 1:even:2] &= _safe(first, moved[:, 1:even:2])
    apart = slope[:, :even:2] - slope[:, 1:even:2]
    turn = -np.sign(apart)
    one, other = first + turn, second - turn
    may = (np.maximum(np.abs(one), np.abs(other)) <= levels.qmax) & _safe(one, other)
    traded = np.where(may, 2.0 * np.abs(apart) - step * crossed, -np.inf)
    return np.concatenate([np.where(allowed, gains, -np.inf), traded], axis=1), np.concatenate([way, turn], axis=1)


def _move(
    hessian: Float64Array, groups: NDArray[np.int64], scales: Float64Array, slope: Float64Array, codes: Float64Array,
    best: NDArray[np.int64], ways: Float64Array,
) -> None:  # fmt: skip
    """Makes one move of each line, in place, and keeps the slope H (s q - v) with it."""
    lines, columns = np.arange(len(best)), codes.shape[1]
    way = ways[lines, best]
    trades = best >= columns
    column = np.where(trades, 2 * (best - columns), best)
    codes[lines, column] += way
    slope += (way * scales)[:, None] * hessian[groups, column]
    if trades.any():
        there, neighbour = lines[trades], column[trades] + 1
        codes[there, neighbour] -= way[trades]
        slope[there] -= (way * scales)[trades, None] * hessian[groups[trades], neighbour]


def _crossed(hessian: Float64Array) -> Float64Array:
    """The curvature of each trade between neighbours: H_ii + H_jj - 2 H_ij, [G, pairs]."""
    first = np.arange(0, hessian.shape[1] // 2 * 2, 2)
    diagonal = np.einsum("gkk->gk", hessian)
    return np.asarray(diagonal[:, first] + diagonal[:, first + 1] - 2.0 * hessian[:, first, first + 1])


def _safe(first: Float64Array, second: Float64Array) -> NDArray[np.bool_]:
    return np.asarray(((first > 0) != (second > 0)) | (np.abs(first + second) <= PAIR_LIMIT))


def _code(want: Float64Array, beside: Float64Array, code_beside: Float64Array, levels: Levels) -> Float64Array:
    """The nearest code that the neighbour leaves; where that has no code yet, both give up alike what they have too much."""
    if not levels.pairs:
        return levels.nearest(want)
    excess = np.where((want > 0) == (beside > 0), np.maximum(np.abs(want + beside) - PAIR_LIMIT, 0.0), 0.0)
    shared = np.where(np.isnan(code_beside), want - np.sign(want) * excess / 2.0, want)
    return np.clip(np.rint(shared), *_bounds(code_beside, levels))


def _bounds(beside: Float64Array, levels: Levels) -> tuple[Float64Array, Float64Array]:
    """What a code may be next to another, which may be NaN for one that is not yet known."""
    lo, hi = np.full_like(beside, levels.qmin), np.full_like(beside, levels.qmax)
    if not levels.pairs:
        return lo, hi
    return (
        np.where(beside < 0, np.maximum(lo, -PAIR_LIMIT - beside), lo),
        np.where(beside > 0, np.minimum(hi, PAIR_LIMIT - beside), hi),
    )


def _inverse_factor(hessian: Float64Array) -> Float64Array:
    """The upper triangular U with U'U = inverse of H."""
    return np.asarray(np.linalg.cholesky(np.linalg.inv(hessian)).transpose(0, 2, 1))


def _partners(order: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place of each column's neighbour after sorting; the number of columns where it stands alone."""
    count = order.shape[1]
    place = np.full((len(order), count + 1), count)
    np.put_along_axis(place, order, np.broadcast_to(np.arange(count), order.shape), 1)
    return np.take_along_axis(place, np.minimum(order ^ 1, count), 1)
