"""LayerNormalization and RMS norms -> sums, squares and a reciprocal root in int32 (quant/reciprocal_root.py)."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.lower.context import Context
from qconv.lower.int32_nodes import column_of
from qconv.lower.values import Wide
from qconv.lower.wide import WideBuilder
from qconv.model.graph import attr_float, const_array
from qconv.ops.forms import row_size
from qconv.quant.reciprocal_root import LARGEST_EPSILON, ReciprocalRoot, reciprocal_root
from qconv.quant.types import QuantParams

_MOST_STEPS = 64  # of a row for each step of 8 bits
_USUAL = 2  # deviations of an element: where it has more, the error of its factor may be more than a fourth of a code
_LOPSIDED = 1.25  # times the largest magnitude of a tensor: what is farther from the mean of its row is cut off there
_MEAN_BITS = 30
_INT32 = 2**31


def lower_norm(node: ir.Node, ctx: Context) -> None:
    """y = factor (x - mean) / sqrt(variance + epsilon) + shift along the last axis; an RMS norm has no mean and no shift."""
    value, output = node.inputs[0], node.outputs[0]
    assert value is not None
    build = WideBuilder(ctx, str(node.name))
    root = reciprocal_root(row_size(node) or 1)
    row = _row(node, ctx, build, value, root)
    normalized = _normalized(node, build, row, root)
    factor, shift = (_constant(node, index, default) for index, default in ((1, 1.0), (2, 0.0)))
    y = ctx.params(output)
    moved = build.affine(normalized, factor, shift, y, output, usual=_USUAL << root.bits)
    ctx.set_wide(output, moved)
    ctx.set_codes(output, build.codes(moved, y, output))


def _row(node: ir.Node, ctx: Context, build: WideBuilder, value: ir.Value, root: ReciprocalRoot) -> Wide:
    """The rows less their mean, no entry beyond that of the root.

    The mean is taken in fine steps: in those of the entries, of which a row with a large one has few for the others, it would be
    off by a whole one.
    """
    wide = ctx.wide(value)
    if wide is None:
        x = build.of_codes(ctx.codes(value), "wide")
        x = build.times(x, _steps_of_a_code(root.entry // (x.high - x.low)), "fine")
    else:
        x = wide
    if node.op_type == "LayerNormalization":
        x = build.within(x, ((1 << _MEAN_BITS) - 1) // root.size, "summed")
        mean = build.mean_of_rows(x.value, root.size)
        centered = build.emit("Sub", [x.value, mean], value, "centered")
        x = Wide(centered, x.scale, 0.0, x.low - x.high, x.high - x.low)
    elif x.zero:
        zero = round(x.zero)
        centered = build.emit("Sub", [x.value, build.constant(zero, "zero")], value, "centered")
        x = Wide(centered, x.scale, 0.0, x.low - zero, x.high - zero)
    x = build.shifted(x, _bits_to_cut(node, ctx.params(value), x, root), "entry")
    return build.clipped(x, root.entry, "entry_clip")


def _steps_of_a_code(room: int) -> int:
    """How many steps a row has for each step of 8 bits: a power of two for which there is room."""
    return min(_MOST_STEPS, 1 << max(room.bit_length() - 1, 0))


def _bits_to_cut(node: ir.Node, params: QuantParams, x: Wide, root: ReciprocalRoot) -> int:
    """How many bits of a row are too many: for its entries within the calibrated range, and for epsilon."""
    low, high = params.ends
    span = min(math.ceil(min(high - low, _LOPSIDED * max(abs(low), abs(high))) / x.scale), x.high - x.low)
    bits = 0
    while span >> bits > root.entry or _epsilon(node, x.scale * (1 << bits), root) > LARGEST_EPSILON:
        bits += 1
    return bits


def _normalized(node: ir.Node, build: WideBuilder, row: Wide, root: ReciprocalRoot) -> Wide:
    """The rows over the root of their mean square."""
    like, column = row.value, column_of(row.value)
    squares = build.emit("Mul", [like, like], like, "squares")
    power = _power(build, squares, root)
    epsilon = _epsilon(node, row.scale, root)
    if epsilon:
        power = build.emit("Add", [power, build.constant(epsilon, "epsilon")], column, "power_and_epsilon")
    levels = column_of(column, len(root.steps))
    buckets = build.over(power, root.steps, levels, "buckets")
    places = build.emit("Add", [buckets, build.constant(root.starts, "starts")], levels, "places")
    axes = build.ctx.initializer(np.asarray([-1], np.int64), f"{node.name}_level_axes")
    place = build.emit("ReduceMin", [places, axes], column, "place", keepdims=1)
    reciprocal = build.emit("Gather", [build.constant(root.table, "roots"), place], column, "reciprocal", axis=0)
    if root.cuts:
        most = build.quotient(2**31 - 1, reciprocal, column, "limit")
        least = build.emit("Mul", [most, build.constant(-1, "minus")], column, "lower_limit")
        bounded = build.emit("Min", [like, most], like, "below_limit")
        row = replace(row, value=build.emit("Max", [bounded, least], like, "above_limit"))
    value = build.emit("Mul", [row.value, reciprocal], like, "normalized")
    return Wide(value, 2.0**-root.bits, 0.0, -root.largest, root.largest)


def _power(build: WideBuilder, squares: ir.Value, root: ReciprocalRoot) -> ir.Value:
    """The sums of squares of rows over the divisor of the root."""
    if root.blocks == 1:
        return build.sum_of_rows(squares, root.size, "power")
    if root.blocks is None:
        squares = build.emit("Add", [squares, build.constant(root.divisor // 2, "half")], squares, "half_up")
        return build.sum_of_rows(build.over(squares, root.divisor, squares, "shares"), root.size, "power")
    sums = build.sums_of_blocks(squares, root.ones, "sums")
    return build.sum_of_rows(build.over(sums, root.divisor, sums, "shares"), root.blocks, "power")


def _epsilon(node: ir.Node, scale: float, root: ReciprocalRoot) -> int:
    """The epsilon of the norm, as a part of V."""
    return round(attr_float(node, "epsilon", 1e-5) / scale**2 * root.size / root.divisor)


def _constant(node: ir.Node, index: int, default: float) -> NDArray[np.floating]:
    found = const_array(node.inputs[index]) if index < len(node.inputs) else None
    return np.full((1,), default) if found is None else found.reshape(-1)
