"""Attention over many tokens: exponentials, their product with the values, and the division last.

    e = round(255 exp(S_z (z - max z))) / m        N = sum of e (v - Z_v),  D = sum of e

Probabilities of long rows are a few codes each; the exponentials use all of them. The quotient has the steps of y at once:

    y = floor((a N + g (2 Z_y + 1)) / (2 g))        g = floor(c D / 2^b) ~ a D S_y / (2 S_v)

a is the greatest power of two that int32 has room for, so that g has more bits than D; b leaves 10 bits and more to c.

Scores are codes, or wide integers (plan/scores.py) in steps of 6.3 / 4096 at least, of which 4,097 have an entry each.

m = 1 + length / 2048, both divisions rounded down, so that no sum passes int32: 255 / m codes m 2048 times fit, and leave a few
bits to a. Of rows whose length is not known, m is computed from the shape. It ends at 255, where the largest exponential is 1.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from qconv.errors import ArtifactError
from qconv.lower.context import Context
from qconv.lower.int32_nodes import column_of
from qconv.lower.values import Codes
from qconv.lower.wide import WideBuilder
from qconv.ops.forms import row_size
from qconv.quant.types import UINT8, QuantParams
from qconv.targets import Tuning

_INT32 = 2**31
_FARTHEST = 1 << 29  # so that differences of scores stay in int32
_REACH, _ENTRIES = 6.3, 4096  # 255 exp(-6.3) < 1/2; of a table of the exponentials of wide scores
_LONGEST = 1 << 11  # rows of so many products of two codes leave room to their factor
_LARGEST_DIVISOR = 255  # see plan/wide.py for the longest rows
_FACTORS = (256, 128, 64, 32, 16, 8, 4, 2, 1)  # of a sum of products
_LARGEST_CODE = 255
_MOST_BITS = 16  # behind the point of what the sum of exponentials is multiplied with


def lower_exponentials(node: ir.Node, ctx: Context) -> None:
    """The exponentials of a Softmax along the last axis, as codes of 1 / 255 that are not divided yet."""
    value, output, name = node.inputs[0], node.outputs[0], str(node.name)
    build = WideBuilder(ctx, name)
    assert output.shape is not None and value is not None
    axes = ctx.initializer(np.asarray([-1], np.int64), f"{name}_axes")
    column = ir.Value(shape=ir.Shape([*output.shape[:-1], 1]))
    found_wide = ctx.wide(value)
    if found_wide is None:
        codes = ctx.codes(value)
        wide, dtype = build.of_codes(codes, "wide"), ir.DataType.from_numpy(codes.params.int_type.dtype)
        largest = build.emit("ReduceMax", [codes.value, axes], column, "largest", dtype, keepdims=1)
        most = build.emit("Cast", [largest], column, "most", to=int(ir.DataType.INT32))
    else:
        wide = build.within(found_wide, _FARTHEST, "scores")
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
    table, size = np.rint(_LARGEST_CODE * np.exp(-np.arange(count) * step)).astype(np.int32), row_size(node)
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
    size, y = row_size(node), ctx.params(node.outputs[0])
    zero_points = [
        ctx.initializer(codes.params.zero_point.reshape(()), f"{node.name}_zero_point") for codes in (exponentials, values)
    ]
    products = build.emit("MatMulInteger", [exponentials.value, values.value, *zero_points], output, "products")
    total = _total(node, build, exponentials, size)
    largest = _LARGEST_CODE * (_LONGEST if size is None else min(size, _LONGEST))
    factor, share, bits = _factors(largest, values.params, y)
    zero, levels = int(y.zero_point) - y.int_type.qmin, y.int_type.qmax - y.int_type.qmin
    finer = build.emit("Mul", [products, build.constant(factor, "unit")], output, "finer") if factor > 1 else products
    half = build.emit("Mul", [total, build.constant(share, "share")], total, "shares")
    half = build.over(half, 1 << bits, total, "half")
    if size is None or share * (_LARGEST_CODE // divisor(size)) >> bits == 0:
        half = build.emit("Max", [half, build.constant(1, "one")], total, "half_at_least")
    middle = build.emit("Mul", [half, build.constant(2 * zero + 1, "middle")], total, "zero")
    step = build.emit("Mul", [half, build.constant(2, "halves")], total, "step")
    number = build.emit("Add", [finer, middle], output, "number")
    mean = build.emit("Div", [number, step], output, "mean")
    found = build.emit("Clip", [mean, build.constant(0, "lowest"), build.constant(levels, "highest")], output, "clip")
    ctx.set_codes(output, build.as_codes(found, y, output))


def _factors(largest: int, values: QuantParams, y: QuantParams) -> tuple[int, int, int]:
    """a, c and b for sums of exponentials of up to `largest`."""
    zero_point, code = int(values.zero_point), values.int_type
    product = largest * max(zero_point - code.qmin, code.qmax - zero_point)
    per_step = float(y.scale) / float(values.scale) / 2.0
    middle = 2 * (int(y.zero_point) - y.int_type.qmin) + 1
    for factor in _FACTORS:
        bits = _MOST_BITS
        while bits and math.ceil(per_step * factor * 2.0**bits) * largest >= _INT32:
            bits -= 1
        share = max(1, round(per_step * factor * 2.0**bits))
        half = share * largest >> bits
        if share * largest < _INT32 and factor * product + half * max(middle, 2) < _INT32:
            return factor, share, bits
    raise ArtifactError("the step of a mean is too large beside that of its values; plan the model anew")


def _total(node: ir.Node, build: WideBuilder, exponentials: Codes, size: int | None) -> ir.Value:
    """The sums of rows of exponentials, as a product with ones: a fourth of the time of a ReduceSum, of 128 elements."""
    column = column_of(exponentials.value)
    if Tuning.SUMS_AS_PRODUCTS in build.ctx.target.tuning:
        return build.emit("MatMulInteger", [exponentials.value, _ones(node, build, exponentials.value, size)], column, "total")
    axes = build.ctx.initializer(np.asarray([-1], np.int64), f"{node.name}_axes")
    wide = build.emit("Cast", [exponentials.value], exponentials.value, "weights", to=int(ir.DataType.INT32))
    return build.emit("ReduceSum", [wide, axes], column, "total", keepdims=1)


def _ones(node: ir.Node, build: WideBuilder, rows: ir.Value, size: int | None) -> ir.Value:
    """A column of ones for rows of some length; unsigned where that is not known: no x86 adds unsigned codes in 16 bits."""
    name, whole = str(node.name), ir.DataType.INT64
    if size is not None:
        return build.ctx.initializer(np.ones((size, 1), np.int8), f"{name}_ones")
    one = build.ctx.initializer(np.ones((1, 1), np.uint8), f"{name}_one")
    width = build.ctx.initializer(np.ones(1, np.int64), f"{name}_width")
    length = build.ctx.emit(
        "Shape", [rows], ir.Value(shape=ir.Shape([1])), whole, name=f"{name}/length", output=f"{name}_length",
        attributes={"start": -1},
    )  # fmt: skip
    sizes = build.emit("Concat", [length, width], ir.Value(shape=ir.Shape([2])), "column", whole, axis=0)
    return build.emit("Expand", [one, sizes], ir.Value(shape=ir.Shape([None, 1])), "ones", ir.DataType.UINT8)
