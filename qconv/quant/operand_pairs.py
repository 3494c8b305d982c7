"""Scales for the operands of a sum or a product of codes, nudged until fixed point equals every kernel, for all 65,536 pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from qconv.quant.certify import Certificate, certify_table
from qconv.quant.fixedpoint import Int64Array, round_shift_half_up
from qconv.quant.grids import Grid, ScaleOf
from qconv.quant.neon import neon_add_table
from qconv.quant.tables import ORT_ADD_FORMS, add_table, mul_scale, mul_table, ort_mul_table
from qconv.quant.types import FloatArray, QuantParams

Table = Callable[..., Int64Array]


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
    choices = (everywhere,) if adds_in_integers else (everywhere, x86)
    return _certified(a, b, y, choices, nudged_alike, grid, lambda scale: scale / y.scale)


def certified_product(a: QuantParams, b: QuantParams, y: QuantParams, grid: Grid = Grid.FREE) -> OperandPair:
    """Certifies y = a b."""

    def scale_of(scale: FloatArray) -> FloatArray:
        return mul_scale(scale, b.scale, y.scale)

    return _certified(a, b, y, ((mul_table, ort_mul_table),), lambda scale: b.scale, grid, scale_of)


def _certified(
    a: QuantParams,
    b: QuantParams,
    y: QuantParams,
    choices: Sequence[Sequence[Table]],
    scale_of_b: Callable[[FloatArray], FloatArray],
    grid: Grid,
    scale_of: ScaleOf,
) -> OperandPair:
    """The scale of `a` is nudged until the first table of a choice, ours, equals all others.

    The first of `choices` for which there is such a scale counts. `scale_of_b` is the scale of `b` that goes with one of `a`.
    """

    def on_pairs(table: Table, a: QuantParams) -> Int64Array:
        return table(a, replace(b, scale=scale_of_b(a.scale)), y)

    for tables in choices:
        ours, *theirs = [partial(on_pairs, table) for table in tables]
        half_up = partial(on_pairs, partial(tables[0], rounding=round_shift_half_up))
        scale, certificate = certify_table(a, ours, *theirs, half_up=half_up, grid=grid, scale_of=scale_of)
        if certificate.proved == certificate.scales:
            break
    else:
        if not grid.free:  # to be exact comes before a short multiplier
            return _certified(a, b, y, choices, scale_of_b, Grid.FREE, scale_of)
    return OperandPair(replace(a, scale=scale), replace(b, scale=scale_of_b(scale)), certificate)
