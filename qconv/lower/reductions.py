"""What int32 serves: sums and means over any axes, quotients, and integer tensors that become reals."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from qconv.lower.context import Context
from qconv.lower.entries import entries_at
from qconv.lower.lookup import lower_test
from qconv.lower.steep import set_wide
from qconv.lower.values import Wide
from qconv.lower.wide import WideBuilder
from qconv.model.graph import attr_int, is_float
from qconv.model.traits import Trait, has_trait
from qconv.ops.forms import reduced_axes, reduced_size
from qconv.quant.tables import codes_of

_LONGEST_SUM = 1 << 22  # elements, where their number is not known
_LONGEST_MEAN = 1 << 15
_MEAN_BITS = 7
_QUOTIENT_BITS = 22
_SMALL = (ir.DataType.UINT8, ir.DataType.INT8)
_CLIPPED = (ir.DataType.INT32, ir.DataType.INT64, ir.DataType.UINT32, ir.DataType.UINT64)


def lower_reduction(node: ir.Node, ctx: Context) -> None:
    """ReduceSum and ReduceMean: the sum of the codes; a mean of an unknown number of elements is divided at run time."""
    value, output = node.inputs[0], node.outputs[0]
    assert value is not None
    if str(node.name) in ctx.plan.steep:
        reduce_wide(node, ctx, value)
        return
    build, x, axes = WideBuilder(ctx, str(node.name)), ctx.codes(value), reduced_axes(node)
    assert axes is not None and value.shape is not None
    keep = node.attributes.get_int("keepdims", 1)
    along = ctx.initializer(np.asarray(axes, np.int64), f"{node.name}_axes")
    size, mean = reduced_size(node), node.op_type == "ReduceMean"
    wide = build.of_codes(x, "wide")
    if size is not None and size * max(wide.largest, 1) < 2**31:
        total = build.emit("ReduceSum", [wide.value, along], output, "sum", keepdims=keep)
        found = Wide(total, wide.scale / (size if mean else 1), wide.zero * size, wide.low * size, wide.high * size)
    else:
        row = build.centered(wide, "centered")
        if mean:
            row = build.times(row, 1 << _MEAN_BITS, "fine")
        longest = 1 if mean else _LONGEST_SUM
        total = build.emit("ReduceMean" if mean else "ReduceSum", [row.value, along], output, "sum", keepdims=keep)
        found = Wide(total, row.scale, 0.0, row.low * longest, row.high * longest)
    ctx.set_codes(output, build.rescaled(found, ctx.params(output), output))


def reduce_wide(node: ir.Node, ctx: Context, value: ir.Value) -> None:
    """The sum of wide integers, of which as many bits are kept as the sum has room for."""
    build, axes, size = WideBuilder(ctx, str(node.name)), reduced_axes(node), reduced_size(node)
    assert axes is not None and size is not None
    x = build.within(build.centered(build.operand(value, "x"), "x_centered"), (2**31 - 1) // max(size, 1), "x_cut")
    along = ctx.initializer(np.asarray(axes, np.int64), f"{node.name}_axes")
    keep = attr_int(node, "keepdims", 1)
    total = build.emit("ReduceSum", [x.value, along], node.outputs[0], "sum", keepdims=keep)
    scale = x.scale / (max(size, 1) if has_trait(node, Trait.AVERAGES) else 1)
    set_wide(node, ctx, build, Wide(total, scale, 0.0, x.low * size, x.high * size))


def lower_quotient(node: ir.Node, ctx: Context) -> None:
    """a / b = a (1 / b), with a table of 2^22 / b over the codes of b; a code that stands for 0 divides as the least one does."""
    a, b = (ctx.codes(value) for value in node.inputs)
    value, build = node.inputs[1], WideBuilder(ctx, str(node.name))
    assert value is not None and node.inputs[0] is not None
    codes = codes_of(b.params.int_type)
    divisors = (codes - int(b.params.zero_point)).astype(np.float64)
    divisors[divisors == 0] = 1.0
    table = np.roll(np.rint((1 << _QUOTIENT_BITS) / divisors), int(codes[0]))
    index = build.of_codes(b, "index")
    inverse = entries_at(build, build.constant(table, "inverses"), index.value, value, "inverse")
    top, zero = build.of_codes(a, "dividend"), int(a.params.zero_point)
    centered = build.emit("Sub", [top.value, build.constant(zero, "zero")], node.inputs[0], "centered") if zero else top.value
    product = build.emit("Mul", [centered, inverse], node.outputs[0], "quotient")
    scale = float(a.params.scale) / float(b.params.scale) / (1 << _QUOTIENT_BITS)
    largest = max(zero - top.low, top.high - zero) << _QUOTIENT_BITS
    quotient = Wide(product, scale, 0.0, -largest, largest)
    ctx.set_codes(node.outputs[0], build.rescaled(quotient, ctx.params(node.outputs[0]), node.outputs[0]))


def lower_cast(node: ir.Node, ctx: Context) -> None:
    """Integers as reals: clipped to the calibrated range, then rescaled; truth values choose. Reals as integers: a table."""
    value, output = node.inputs[0], node.outputs[0]
    if not is_float(output):
        lower_test(node, ctx)
        return
    assert value is not None and value.dtype is not None
    build, dtype = WideBuilder(ctx, str(node.name)), value.dtype
    if dtype is ir.DataType.BOOL:
        _truth(node, ctx)
        return
    low, high = (math.floor(ctx.params(output).ends[0]), math.ceil(ctx.params(output).ends[1]))
    if dtype in _SMALL:
        low, high = (int(end) for end in (np.iinfo(dtype.numpy()).min, np.iinfo(dtype.numpy()).max))
    elif dtype in _CLIPPED:
        limits = np.iinfo(dtype.numpy())
        low, high = max(low, int(limits.min), -(1 << 20)), min(high, int(limits.max), 1 << 20)
        ends = (np.asarray(end, dtype.numpy()) for end in (low, high))
        bounds = [ctx.initializer(end, f"{node.name}_bound") for end in ends]
        value = build.emit("Clip", [value, *bounds], output, "clip_integers", dtype)
    integers = build.emit("Cast", [value], output, "integers", to=int(ir.DataType.INT32))
    ctx.set_codes(output, build.rescaled(Wide(integers, 1.0, 0.0, low, high), ctx.params(output), output))


def _truth(node: ir.Node, ctx: Context) -> None:
    """The code of 1 where something is true, that of 0 elsewhere."""
    output, y = node.outputs[0], ctx.params(node.outputs[0])
    one, zero = (ctx.constant_codes(np.asarray(real, np.float32), y, f"{node.name}_{real}").value for real in (1, 0))
    ctx.set_codes(output, ctx.emit_codes("Where", [node.inputs[0], one, zero], output, y, clamp=False))
