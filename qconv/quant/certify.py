"""Proofs that fixed-point rescaling equals onnxruntime's float32 rescaling, for every accumulator that can occur.

onnxruntime rescales an accumulator in float32, with s the float32 scale that it computes from S_x, S_w and S_y:

    ort(acc)   = rint(float32(acc) * s)                          half to even
    fixed(acc) = round_half_even(acc * m0 * 2^-(31 + n))         m0 2^-(31 + n) = s exactly

Only the roundings of float32(acc) and of the product can part them. Both maps are monotone in acc, so between two
neighbouring thresholds t_k = min{acc : fixed(acc) >= k} both are constant if ort(t_k - 1) < k <= ort(t_k). Checking the
at most 255 thresholds and the two ends of the reachable interval therefore proves equality everywhere (docs/arithmetic.md, 6).
Where it fails, the scale is raised by single ulps until it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qconv.quant.fixedpoint import Int64Array, Multiplier, rescale
from qconv.quant.grids import Grid, ScaleOf
from qconv.quant.ties import tie_free
from qconv.quant.types import BoolArray, FloatArray, QuantParams

MAX_ULPS = 2048  # of an activation's scale, which others share
MAX_ULPS_OF_WEIGHTS = 8192  # 1e-3 relative: far below the rounding of an 8-bit weight
_EXACT_IN_FLOAT32 = 1 << 24  # larger integers are rounded when they become float32
_LUCK = 10  # thresholds beyond that can all hold once in 2^10 tries

Interval = tuple[Int64Array, Int64Array]  # the least and the greatest accumulator of each scale
Reach = Callable[[FloatArray, Int64Array], Interval]  # of the scales with these values and these indices
Table = Callable[[QuantParams], Int64Array]  # the outputs for all codes of an operand with these parameters

_BEYOND_FLOAT32 = "accumulators beyond 2^24, which float32 rounds, reach too many output codes"
_BEYOND_INT32 = "onnxruntime's kernel is off by more than one code, as where values leave int32 before they are clamped"
_NO_SCALE = "no scale within {} ulps makes float32 and fixed point equal"
_NOT_IN_GRID = "no multiplier of so few bits nearby makes float32 and fixed point equal"
_MOST_IN_GRID = 64  # multipliers of few bits that are tried


@dataclass(frozen=True)
class Certificate:
    """For which accumulators fixed point equals onnxruntime's kernel, at one node.

    `low` and `high` are the least and the greatest accumulator over all channels; where all codes of an operand were
    enumerated, they are its lowest and its highest code. Of the `scales`, so many are `proved`; `nudged` were raised for
    it, by at most `max_ulps`. `why` is empty, or a sentence that says why the others are not proved. For `tie_free` of the
    scales, rounding halves up gives the same codes as rounding them to even; the others may meet `ties`.
    """

    scales: int
    proved: int
    nudged: int
    max_ulps: int
    low: int
    high: int
    why: str = ""
    tie_free: int = 0

    @property
    def ties(self) -> bool:
        """Whether a tie can occur within [low, high] that is rounded otherwise half up."""
        return self.tie_free < self.scales

    @classmethod
    def of_equal_codes(cls, low: int, high: int) -> Certificate:
        """The certificate of codes that stay as they are, which needs no proof."""
        return cls(1, 1, 0, 0, low, high, tie_free=1)


def combine(certificates: Iterable[Certificate]) -> Certificate:
    """One certificate for a node with several; ValueError where there is none."""
    all_ = list(certificates)
    if not all_:
        raise ValueError("a node without multipliers has no certificate")
    return Certificate(
        scales=sum(c.scales for c in all_),
        proved=sum(c.proved for c in all_),
        nudged=sum(c.nudged for c in all_),
        max_ulps=max(c.max_ulps for c in all_),
        low=min(c.low for c in all_),
        high=max(c.high for c in all_),
        why="; ".join(dict.fromkeys(c.why for c in all_ if c.why)),
        tie_free=sum(c.tie_free for c in all_),
    )


def effective_scale(x_scale: FloatArray | np.float32, w_scale: FloatArray, y_scale: FloatArray | np.float32) -> FloatArray:
    """S_x S_w / S_y in float32 and in onnxruntime's order."""
    product: FloatArray = np.multiply(x_scale, w_scale, dtype=np.float32)
    return np.asarray(product / np.float32(y_scale))


def ort_rescale(acc: Int64Array, scale: FloatArray) -> NDArray[np.float32]:
    """rint(float32(acc) * s), the float32 path of onnxruntime's requantization."""
    return np.asarray(np.rint(acc.astype(np.float32) * scale))


def thresholds(scale: FloatArray, codes: Int64Array) -> Int64Array:
    """min{acc : fixed(acc) >= k} for each scale (rows) and code k (columns); 2^62 or -2^62 where |acc| would pass 2^31.

    fixed(acc) >= k is acc * m0 >= (2k - 1) 2^(30 + n), with equality only for even k: a tie goes to the even code.
    """
    multiplier = Multiplier.of(scale)
    m0, n = multiplier.m0[:, None], multiplier.n[:, None]
    odd = 2 * codes[None, :] - 1
    # 30 + n bits of shift on at most 10 bits: past 2^62 the threshold lies beyond every int32 accumulator.
    reachable = np.abs(odd) < np.int64(1) << np.clip(32 - n, 0, 61)
    product = np.where(reachable, odd, 0) << np.clip(30 + n, 0, 61)
    quotient = -(-product // m0)
    tie = quotient * m0 == product
    limit = np.int64(1) << 62
    return np.where(reachable, quotient + (tie & (codes[None, :] % 2 != 0)), np.where(odd > 0, limit, -limit))


def unproved(scale: FloatArray, lo: int, hi: int, acc_lo: Int64Array, acc_hi: Int64Array) -> BoolArray:
    """Which scales are *not* proved equal on [acc_lo, acc_hi], for codes clamped to [lo, hi] (the zero point taken off).

    `scale`, `acc_lo` and `acc_hi` have the shape (channels,).
    """
    codes = np.arange(lo + 1, hi + 1, dtype=np.int64)
    at = thresholds(scale, codes)
    inside = (at > acc_lo[:, None]) & (at <= acc_hi[:, None])
    clipped = np.clip(at, -(1 << 31), 1 << 31)
    s = scale[:, None]
    wrong = inside & ((ort_rescale(clipped, s) < codes) | (ort_rescale(clipped - 1, s) >= codes))
    failed: BoolArray = np.asarray(wrong.any(axis=1))
    multiplier = Multiplier.of(scale)
    for end in (acc_lo, acc_hi):
        differs = np.not_equal(np.clip(ort_rescale(end, scale), lo, hi), np.clip(rescale(end, multiplier), lo, hi))
        failed |= differs
    return failed


def inexact_thresholds(scale: FloatArray, lo: int, hi: int, acc_lo: Int64Array, acc_hi: Int64Array) -> Int64Array:
    """How many reachable thresholds of each scale lie beyond 2^24, where float32 merges neighbouring accumulators.

    There a threshold holds only by luck, for every second place, so that nudging cannot satisfy many at once.
    """
    at = thresholds(scale, np.arange(lo + 1, hi + 1, dtype=np.int64))
    inside = (at > acc_lo[:, None]) & (at <= acc_hi[:, None])
    return np.asarray((inside & (np.abs(at) > _EXACT_IN_FLOAT32)).sum(axis=1), np.int64)


@dataclass(frozen=True)
class Nudged:
    """Scales after `nudge`: their values, by how many ulps each was raised, and which are proved."""

    values: FloatArray
    ulps: Int64Array
    proved: BoolArray

    def where_proved(self, other: Nudged) -> Nudged:
        """These, and where they are not proved the others: to be exact comes before a short multiplier."""
        values, ulps = np.where(self.proved, self.values, other.values), np.where(self.proved, self.ulps, other.ulps)
        return Nudged(values, ulps, self.proved | other.proved)

    def certificate(self, low: int, high: int, why: str, tie_free: int) -> Certificate:
        """What they show on [low, high]; `why` is the reason for those that are not proved."""
        nudged, most, proved = int((self.ulps > 0).sum()), int(self.ulps.max(initial=0)), int(self.proved.sum())
        return Certificate(len(self.values), proved, nudged, most, low, high, "" if self.proved.all() else why, tie_free)


def nudge(
    start: FloatArray, failing: Callable[[FloatArray, Int64Array], BoolArray], hopeless: BoolArray | None = None,
    grid: Grid = Grid.FREE, scale_of: ScaleOf | None = None, most: int = MAX_ULPS, stride: int = 1,
) -> Nudged:  # fmt: skip
    """Raises each of `start` (shape (channels,)) until `failing(values, indices)` is false for it.

    By `stride` ulps; where a grid has few multipliers, which `scale_of` makes of the values, from one to the next. Powers of
    two stay what they are. A value that is `hopeless`, or stays unproved after `most` ulps, keeps what it began with.
    """
    of_values = scale_of or (lambda values: values)
    start = start if grid.powers else grid.snapped(start, of_values)
    values = np.array(start, np.float32)
    failed = failing(values, np.arange(len(values)))
    proved = ~failed
    open_ = np.flatnonzero(failed if hopeless is None else failed & ~hopeless)
    ulps = np.zeros(len(values), np.int64)
    for _ in range(most // stride if grid.free else 0 if grid.powers else _MOST_IN_GRID):
        if not len(open_):
            break
        values[open_] = grid.raised(values[open_], of_values, stride)
        ulps[open_] = values[open_].view(np.int32) - start[open_].view(np.int32)
        still = failing(values[open_], open_)
        proved[open_[~still]] = True
        open_ = open_[still]
    values[open_] = start[open_]
    ulps[open_] = 0
    return Nudged(values, ulps, proved)


def scales_in_grid(x_scale: FloatArray | np.float32, w_scale: FloatArray, y: QuantParams, grid: Grid) -> FloatArray:
    """Weight scales, of any shape, whose multipliers are in a grid and are proved whatever the accumulators are.

    `y` are the parameters of the output of the layer. Powers of two stay what they are.
    """
    if grid.free or grid.powers:
        return w_scale
    most, limits = np.int64((1 << 31) - 1), np.iinfo(y.int_type.dtype)
    lo, hi = (int(end) - int(y.zero_point) for end in (limits.min, limits.max))

    def scale_of(values: FloatArray) -> FloatArray:
        return effective_scale(x_scale, values, y.scale)

    def failing(values: FloatArray, which: Int64Array) -> BoolArray:
        ends = np.full(len(which), most)
        return unproved(scale_of(values), lo, hi, -ends, ends)

    return nudge(np.reshape(w_scale, -1), failing, None, grid, scale_of).values.reshape(np.shape(w_scale))


def certify_weight_scale(
    x_scale: FloatArray | np.float32, w_scale: FloatArray, y_scale: FloatArray | np.float32, lo: int, hi: int, reach: Reach,
    grid: Grid = Grid.FREE, *, no_ties: bool = False,
) -> tuple[FloatArray, Certificate]:  # fmt: skip
    """Weight scales, shape (channels,), nudged until requantization is proved; lo, hi are codes less the zero point.

    The accumulators that `reach` gives depend on the scale, because the bias codes do: so they are asked for again with it.
    With `no_ties` they are nudged on until no halves can occur either that are rounded otherwise half up.
    """

    def scale_of(values: FloatArray) -> FloatArray:
        return effective_scale(x_scale, values, y_scale)

    def failing(values: FloatArray, which: Int64Array) -> BoolArray:
        scales, ends = scale_of(values), reach(values, which)
        return unproved(scales, lo, hi, *ends) | (no_ties & ~tie_free(scales, lo, hi, *ends))

    every = np.arange(len(w_scale))
    hopeless = inexact_thresholds(scale_of(w_scale), lo, hi, *reach(w_scale, every)) > _LUCK
    found = nudge(w_scale, failing, hopeless, grid, scale_of, MAX_ULPS_OF_WEIGHTS)
    if not grid.free and not found.proved.all():
        found = found.where_proved(nudge(w_scale, failing, hopeless, most=MAX_ULPS_OF_WEIGHTS))
    acc_lo, acc_hi = reach(found.values, every)
    why = _BEYOND_FLOAT32 if (hopeless & ~found.proved).any() else _why_none(grid, MAX_ULPS_OF_WEIGHTS)
    free = int(tie_free(scale_of(found.values), lo, hi, acc_lo, acc_hi).sum())
    return found.values, found.certificate(int(acc_lo.min()), int(acc_hi.max()), why, free)


def certify_one(
    x_scale: FloatArray, scale_of: ScaleOf, lo: int, hi: int, acc_lo: int, acc_hi: int, grid: Grid = Grid.FREE,
    *, no_ties: bool = False,
) -> tuple[FloatArray, Certificate]:  # fmt: skip
    """One scale (0-d) nudged until the float32 scale `scale_of(x_scale)` is proved on [acc_lo, acc_hi]."""
    ends = np.asarray([acc_lo], np.int64), np.asarray([acc_hi], np.int64)
    start = np.reshape(x_scale, 1)

    def failing(values: FloatArray, _: Int64Array) -> BoolArray:
        return unproved(scale_of(values), lo, hi, *ends) | (no_ties & ~tie_free(scale_of(values), lo, hi, *ends))

    found = nudge(start, failing, None, grid, scale_of)
    if not grid.free and not found.proved.all():
        found = found.where_proved(nudge(start, failing))
    free = int(tie_free(scale_of(found.values), lo, hi, *ends).sum())
    return found.values.reshape(()), found.certificate(acc_lo, acc_hi, _why_none(grid), free)


def certify_table(
    x: QuantParams, ours: Table, *theirs: Table, half_up: Table | None = None, grid: Grid = Grid.FREE,
    scale_of: ScaleOf | None = None, stride: int = 1,
) -> tuple[FloatArray, Certificate]:  # fmt: skip
    """The scale of x (0-d) nudged until our table equals each of `theirs` for every code: a proof by enumeration.

    It is raised by `stride` ulps at a time.
    `half_up` is our table with halves rounded up, to tell whether they matter; None for one that nobody computes anew. `scale_of`
    gives the multiplier that is to be in the grid.
    """

    def failing(values: FloatArray, _: Int64Array) -> BoolArray:
        params = replace(x, scale=values.reshape(()))
        table = ours(params)
        return np.asarray([not all(np.array_equal(table, other(params)) for other in theirs)])

    # An ulp moves no output by more than one code, so that a larger difference stays however far the scale is raised.
    start = ours(x)
    hopeless = any(np.abs(start - other(x)).max(initial=0) > 1 for other in theirs)
    found = nudge(np.reshape(x.scale, 1), failing, np.asarray([hopeless]), grid, scale_of, stride=stride)
    limits = np.iinfo(x.int_type.dtype)
    why = _BEYOND_INT32 if hopeless else _why_none(grid)
    values = found.values.reshape(())
    params = replace(x, scale=values)
    free = int(half_up is None or np.array_equal(ours(params), half_up(params)))
    return values, found.certificate(int(limits.min), int(limits.max), why, free)


def _why_none(grid: Grid, most: int = MAX_ULPS) -> str:
    return _NO_SCALE.format(most) if grid.free else _NOT_IN_GRID
