"""Attention over many tokens: exponentials, their product with the values, and the division last.

    e = round(255 exp(S (z - max z))) / m        N = sum of e v,  D = sum of e        y = N / D

Probabilities of long rows are a few codes each; the exponentials use all of them. The quotient is divided out twice, for b bits
behind the point:

    q = N / D,  r = N - q D,  y = 2^b q + (2^b r) / D        |r| < D, so that 2^b r fits in int32 for b = 31 - bits of D

Scores are codes, or wide integers (plan/scores.py) in steps of 6.3 / 4096 at least, of which 4,097 have an entry each.

One division is enough, 2^b N / D, where int32 has room for b bits in front of it, and 2^-b is an eighth of a step of y.

m = 1 + length / 32768, both divisions rounded down, so that no sum passes int32: 255 / m codes m 32768 times fit. Of rows whose
length is not known, m is computed from the shape. It ends at 255, where the largest exponential is 1.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from qconv.lower.context import Context
from qconv.lower.values import Codes, Wide
from qconv.lower.wide import WideBuilder, column_of
from qconv.ops.forms import row_size
from qconv.quant.types import UINT8, QuantParams
from qconv.targets import Tuning

_INT32_BITS = 31
_FARTHEST = 1 << 29  # so that differences of scores stay in int32
_REACH, _ENTRIES = 6.3, 4096  # 255 exp(-6.3) < 1/2; of a table of the exponentials of wide scores
_LONGEST = 1 << 15  # rows of so many products of two codes fit in int32
_LARGEST_DIVISOR = 255  # see plan/wide.py for the longest rows
_LARGEST_CODE = 255
_PARTS_OF_A_STEP = 8  # that a quotient is cut off in
_MOST_BITS = 15  # behind the point: what is cut off there is nothing beside the codes of the values


def lower_exponentials(node: ir.Node, ctx: Context) -> None:
    """The exponentials of a Softmax along the last axis, as codes of 1 / 255 that are not divided yet."""
    value, output, name = node.inputs[0], node.outputs[0], str(node.name)
    build = WideBuilder(ctx, name)
    assert output.shape is not None and value is not None
    axes = ctx.initializer(np.asarray([-1], np.int64), f"{name}_axes")
    column = ir.Value(shape=ir.Shape([*output.shape[:-1], 1]))
    found_wide = ctx.wide(value)
    wide = build.of_codes(ctx.codes(value), "wide") if found_wide is None else build.within(found_wide, _FARTHEST, "scores")
    most = build.emit("ReduceMax", [wide.value, axes], column, "most", keepdims=1)
    below = build.emit("Sub", [most, wide.value], output, "below")
    step = wide.scale
    if found_wide is not None:
        cut = max(0, math.ceil(math.log2(_REACH / _ENTRIES / step)))
        step *= 1 << cut
        below = build.over(below, 1 << cut, output, "steps") if cut else below
        below = build.emit("Min", [below, build.constant(_entries(step) - 1, "last")], output, "nearest")
    flat = ir.Value(shape=ir.Shape([None]))
    every = ctx.initializer(np.asarray([-1], np.int64), f"{name}_flat")
    index = build.emit("Reshape", [below, every], flat, "flatten")
    entries = _table(node, build, step, 256 if found_wide is None else _entries(step))
    found = build.emit("GatherElements", [entries, index], flat, "lookup", ir.DataType.UINT8, axis=0)
    exponentials = build.emit(
        "Reshape", [found, ctx.shape_of(output, wide.value, name)], output, "exponentials", ir.DataType.UINT8
    )
    scale = np.asarray(1.0 / 255.0, np.float32)
    ctx.set_codes(output, Codes(exponentials, QuantParams(scale, np.asarray(0), UINT8)))


def _entries(step: float) -> int:
    """How many steps there are to an exponential of nothing."""
    return min(math.ceil(_REACH / step) + 1, _ENTRIES + 1)


def _table(node: ir.Node, build: WideBuilder, step: float, count: int) -> ir.Value:
    """The exponentials by the distance from the largest score of their row."""
    table, size = np.rint(255.0 * np.exp(-np.arange(count) * step)).astype(np.int32), row_size(node)
    if size is not None:
        return build.ctx.initializer((table // divisor(size)).astype(np.uint8), f"{node.name}_exponentials")
    scores = None if node.inputs[0] is None else build.ctx.wide(node.inputs[0])
    x = build.ctx.codes(node.inputs[0]).value if scores is None else scores.value
    place = ir.Value(shape=ir.Shape([1]))
    rank = ir.Value(shape=None if x.shape is None else ir.Shape([len(x.shape)]))
    axis = build.ctx.initializer(np.asarray([-1], np.int64), f"{node.name}_last")
    sizes = build.emit("Shape", [x], rank, "sizes", ir.DataType.INT64)
    length = build.emit("Gather", [sizes, axis], place, "length", ir.DataType.INT64, axis=0)
    length = build.emit("Cast", [length], place, "length_wide", to=int(ir.DataType.INT32))
    beyond = build.emit("Div", [length, build.constant(_LONGEST, "longest")], place, "beyond")
    above = build.emit("Add", [beyond, build.constant(1, "one")], place, "above")
    by = build.emit("Min", [above, build.constant(_LARGEST_DIVISOR, "largest")], place, "divisor")
    entries = ir.Value(shape=ir.Shape([len(table)]))
    shares = build.quotient(table, by, entries, "shares")
    return build.emit("Cast", [shares], entries, "table", ir.DataType.UINT8, to=int(ir.DataType.UINT8))


def divisor(size: int) -> int:
    """m for rows of a known length."""
    return min(1 + size // _LONGEST, _LARGEST_DIVISOR)


def lower_weighted_mean(node: ir.Node, ctx: Context) -> None:
    """The mean of values, weighted by exponentials."""
    output, build = node.outputs[0], WideBuilder(ctx, str(node.name))
    exponentials, values = ctx.codes(node.inputs[0]), ctx.codes(node.inputs[1])
    size = row_size(node)
    assert output.shape is not None
    largest = 255 * (_LONGEST if size is None else min(size, _LONGEST))
    once = _bits_of_one_quotient(largest, values.params, ctx.params(output))
    bits = once or min(_MOST_BITS, _INT32_BITS - largest.bit_length())
    zero_points = [
        ctx.initializer(codes.params.zero_point.reshape(()), f"{node.name}_zero_point") for codes in (exponentials, values)
    ]
    products = build.emit("MatMulInteger", [exponentials.value, values.value, *zero_points], output, "products")
    total = _total(node, build, exponentials, size)
    mean = (_short_quotient if once else _quotient)(build, products, total, bits, output)
    reach = 256 << bits
    found = Wide(mean, float(values.params.scale) / (1 << bits), 0.0, -reach, reach)
    ctx.set_codes(output, build.rescaled(found, ctx.params(output), output))


def _bits_of_one_quotient(largest: int, values: QuantParams, y: QuantParams) -> int:
    """How many bits 2^b N / D has behind the point where int32 has room for 2^b N; 0 where y needs more of them."""
    bits = min(_MOST_BITS, _INT32_BITS - (largest * _LARGEST_CODE).bit_length())
    fine = bits > 0 and float(values.scale) / (1 << bits) * _PARTS_OF_A_STEP <= float(y.scale)
    return bits if fine else 0


def _total(node: ir.Node, build: WideBuilder, exponentials: Codes, size: int | None) -> ir.Value:
    """The sums of rows of exponentials: a product with ones, where their number is known."""
    column = column_of(exponentials.value)
    if size is not None and Tuning.SUMS_AS_PRODUCTS in build.ctx.target.tuning:
        ones = build.ctx.initializer(np.ones((size, 1), np.int8), f"{node.name}_ones")
        return build.emit("MatMulInteger", [exponentials.value, ones], column, "total")
    axes = build.ctx.initializer(np.asarray([-1], np.int64), f"{node.name}_axes")
    wide = build.emit("Cast", [exponentials.value], exponentials.value, "weights", to=int(ir.DataType.INT32))
    return build.emit("ReduceSum", [wide, axes], column, "total", keepdims=1)


def _short_quotient(build: WideBuilder, number: ir.Value, divisor: ir.Value, bits: int, like: ir.Value) -> ir.Value:
    """A quotient with so few bits behind the point that the number has room for them."""
    finer = build.emit("Mul", [number, build.constant(1 << bits, "unit")], like, "finer")
    return build.emit("Div", [finer, divisor], like, "mean")


def _quotient(build: WideBuilder, number: ir.Value, divisor: ir.Value, bits: int, like: ir.Value) -> ir.Value:
    """A quotient with so many bits behind the point."""
    unit = build.constant(1 << bits, "unit")
    whole = build.emit("Div", [number, divisor], like, "whole")
    rest = build.emit("Sub", [number, build.emit("Mul", [whole, divisor], like, "taken")], like, "rest")
    part = build.emit("Div", [build.emit("Mul", [rest, unit], like, "rest_finer"), divisor], like, "part")
    return build.emit("Add", [build.emit("Mul", [whole, unit], like, "whole_finer"), part], like, "mean")
