"""Scales for the operands of a sum or a product of codes, nudged until fixed point equals every kernel, for all 65,536 pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial

import numpy as np

from qconv.quant.certify import MAX_ULPS, Certificate, certify_table
from qconv.quant.fixedpoint import Int64Array, round_shift_half_up
from qconv.quant.grids import Grid, ScaleOf
from qconv.quant.neon import neon_add_table
from qconv.quant.tables import ORT_ADD_FORMS, add_table, mul_scale, mul_table, ort_mul_table
from qconv.quant.types import FloatArray, QuantParams

Table = Callable[..., Int64Array]
_SMALL = 8  # the largest denominator of two scales that are told to be in a simple ratio
_STRIDE = 64  # ulps: what clears ties that all move alike is a distance, so that single ulps are not worth their time


@dataclass(frozen=True)
class _Choice:
    """Tables that are to be equal, ours first; the scale of b that goes with one of a; and by how many ulps that is raised."""

    tables: Sequence[Table]
    scale_of_b: ScaleOf
    stride: int = 1


@dataclass(frozen=True)
class OperandPair:
    """The parameters of both operands after certification."""

    a: QuantParams
    b: QuantParams
    certificate: Certificate


def certified_sum(
    a: QuantParams, b: QuantParams, y: QuantParams, *, adds_in_integers: bool, grid: Grid = Grid.FREE
) -> OperandPair:
    """Certifies y = a + b. The kernel of 64-bit ARM counts too with `adds_in_integers`, else where a scale can be found.

    A `grid` of few multipliers wants operands whose multipliers are in it.
    """

    def nudged_alike(scale: FloatArray) -> FloatArray:
        """S_b raised by as many ulps as S_a: where a is Z_a, only b can leave a tie that kernels round differently."""
        ulps = scale.view(np.int32) - a.scale.view(np.int32)
        return (b.scale.view(np.int32) + ulps).view(np.float32)

    x86 = (add_table, *ORT_ADD_FORMS)
    everywhere = (add_table, neon_add_table, *ORT_ADD_FORMS)
    sets = (everywhere,) if adds_in_integers else (everywhere, x86)
    fraction, choices = _fraction_near(a.scale, b.scale), list[_Choice]()
    for tables in sets:
        choices.append(_Choice(tables, nudged_alike))
        if fraction is not None:
            choices.append(_Choice(tables, partial(_times, fraction), _STRIDE))
    return _certified(a, b, y, choices, grid, lambda scale: scale / y.scale)


def _times(factor: np.float32, scale: FloatArray) -> FloatArray:
    return np.asarray(scale * factor, np.float32)


def _fraction_near(a: FloatArray, b: FloatArray) -> np.float32 | None:
    """A fraction of small numbers that S_b / S_a is within the reach of nudging, and not equal to; else None.

    If S_a = S_y / 2, and S_b nearly so, the odd sums of codes lie beside ties, each at another small distance: no nudging of both
    clears them all. With S_b = S_a every such sum is moved alike, away from its tie.
    """
    ratio = float(b) / float(a)
    found = float(Fraction(ratio).limit_denominator(_SMALL))
    return np.float32(found) if found and 0 < abs(ratio / found - 1) < MAX_ULPS * 2.0**-23 else None


def certified_product(a: QuantParams, b: QuantParams, y: QuantParams, grid: Grid = Grid.FREE) -> OperandPair:
    """Certifies y = a b."""

    def scale_of(scale: FloatArray) -> FloatArray:
        return mul_scale(scale, b.scale, y.scale)

    return _certified(a, b, y, [_Choice((mul_table, ort_mul_table), lambda scale: b.scale)], grid, scale_of)


def _certified(
    a: QuantParams,
    b: QuantParams,
    y: QuantParams,
    choices: Sequence[_Choice],
    grid: Grid,
    scale_of: ScaleOf,
) -> OperandPair:
    """The scale of `a` is nudged until the first table of a choice, ours, equals all others.

    The first of `choices` for which there is such a scale counts.
    """

    def on_pairs(table: Table, scale_of_b: ScaleOf, a: QuantParams) -> Int64Array:
        return table(a, replace(b, scale=scale_of_b(a.scale)), y)

    for choice in choices:
        scale_of_b = choice.scale_of_b
        ours, *theirs = [partial(on_pairs, table, scale_of_b) for table in choice.tables]
        half_up = partial(on_pairs, partial(choice.tables[0], rounding=round_shift_half_up), scale_of_b)
        scale, certificate = certify_table(a, ours, *theirs, half_up=half_up, grid=grid, scale_of=scale_of, stride=choice.stride)
        if certificate.proved == certificate.scales:
            break
    else:
        if not grid.free:  # to be exact comes before a short multiplier
            return _certified(a, b, y, choices, Grid.FREE, scale_of)
    return OperandPair(replace(a, scale=scale), replace(b, scale=scale_of_b(scale)), certificate)
