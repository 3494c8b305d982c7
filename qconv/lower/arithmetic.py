"""Add, Sub and Mul of two tensors -> QLinearAdd and QLinearMul, each proved over all 65,536 pairs of codes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.lower.builder import MS
from qconv.lower.context import Context
from qconv.lower.lookup import lower_table
from qconv.lower.requantize import requantize
from qconv.lower.steep import lower_wide_product
from qconv.lower.values import Codes, Wide
from qconv.lower.wide import SUM_BITS, WideBuilder
from qconv.model.graph import const_array
from qconv.ops.forms import scalar_factor, signs_of_sum
from qconv.quant.fixedpoint import Multiplier
from qconv.quant.operand_pairs import OperandPair, certified_product, certified_sum
from qconv.quant.params import params_of_constant
from qconv.quant.tables import mul_scale
from qconv.quant.types import QuantParams, Scheme

_FAR = 64  # times what a sum can hold, so that a mask leaves scores six bits fewer


def lower_add(node: ir.Node, ctx: Context) -> None:
    """y = a + b; in int32 where the plan says that y is wide."""
    if str(node.outputs[0].name) in ctx.plan.wide:
        _add_wide(node, ctx)
        return
    _emit_add(node, ctx, ctx.codes(node.inputs[0]), ctx.codes(node.inputs[1]))


def _add_wide(node: ir.Node, ctx: Context) -> None:
    """The sum in int32, and its codes for those that read them."""
    output, build = node.outputs[0], WideBuilder(ctx, str(node.name))
    signs, arrays = signs_of_sum(node), [const_array(value) for value in node.inputs]
    known = next((place for place, array in enumerate(arrays) if array is not None), None)
    if known is None or arrays[1 - known] is not None:
        a, b = (build.operand(value, step) for value, step in zip(node.inputs, "ab", strict=True) if value is not None)
        total = _sum_of(build, a, b, output, int(signs[1]))
    else:
        other, array, own = node.inputs[1 - known], arrays[known], ctx.params(node.inputs[known])
        assert other is not None and array is not None
        low, high = own.ends[0] - float(own.scale), own.ends[1] + float(own.scale)  # a mask may be infinite
        total = _sum_with(build, build.operand(other, "a"), array.clip(low, high), output, (signs[1 - known], signs[known]))
    ctx.set_wide(output, total)
    ctx.set_codes(output, build.rescaled(total, ctx.params(output), output))


def _sum_of(build: WideBuilder, a: Wide, b: Wide, output: ir.Value, sign: int) -> Wide:
    """The sum of both. A mask that is far larger than what it is added to is cut off where the sum leaves its range anyway.

    Otherwise a mask of -1e9 would leave no steps for scores. The sum is cut off too, so that what is masked is all alike.
    """
    most = max(map(abs, build.ctx.params(output).ends))
    ends = [x.scale * x.largest for x in (a, b)]
    limits = [most + other for other in reversed(ends)]
    cut = [_cut_off(build, x, end, limit, step) for x, end, limit, step in zip((a, b), ends, limits, "ab", strict=True)]
    total = build.sum(cut[0], cut[1], output, sign)
    return total if cut == [a, b] else build.clipped(build.centered(total, "centered"), math.ceil(most / total.scale), "masked")


def _cut_off(build: WideBuilder, x: Wide, end: float, limit: float, step: str) -> Wide:
    """What reaches to `end`, cut off at about `limit` where it goes far beyond; one of its own steps may be more than that."""
    if end <= _FAR * limit:
        return x
    found = build.clipped(build.centered(x, f"{step}_centered"), math.ceil(limit / x.scale), f"{step}_mask")
    return replace(found, scale=min(x.scale, limit))


def _sum_with(build: WideBuilder, x: Wide, numbers: NDArray[np.floating], like: ir.Value, signs: tuple[float, float]) -> Wide:
    """signs[0] x + signs[1] numbers, in steps of x over a whole number, so that no factor is off where both nearly cancel."""
    x, largest = build.within(x, 1 << SUM_BITS, "a_shift"), float(np.abs(numbers).max(initial=0.0))
    unit = (x.scale * x.largest + largest) / (1 << (SUM_BITS + 9))
    fine = build.times(x, max(1, round(x.scale / unit)), "a_rescale")
    codes = np.rint(signs[1] * numbers.astype(np.float64) / fine.scale).astype(np.int64)
    row, plus = build.constant(codes, "numbers"), signs[0] > 0
    value = build.emit("Add" if plus else "Sub", [fine.value, row] if plus else [row, fine.value], like, "sum")
    low, high = (fine.low, fine.high) if plus else (-fine.high, -fine.low)
    ends = low + int(codes.min(initial=0)), high + int(codes.max(initial=0))
    return build.within(Wide(value, fine.scale, signs[0] * fine.zero, *ends), 1 << SUM_BITS, "sum_shift")


def lower_sub(node: ir.Node, ctx: Context) -> None:
    """y = a + (-b): the codes of -b are those of b mirrored, qmin + qmax - q.

    That is an exclusive or: with qmax for unsigned codes, with -1 for signed ones. In int32 it is a difference.
    """
    if str(node.outputs[0].name) in ctx.plan.wide:
        _add_wide(node, ctx)
        return
    a, value = ctx.codes(node.inputs[0]), node.inputs[1]
    assert value is not None
    array = const_array(value)
    if array is not None:
        params = params_of_constant(-array, Scheme(a.params.int_type, scale_bits=ctx.grid.scale_bits))
        _emit_add(node, ctx, a, ctx.constant_codes(-array, params, f"{value.name}_negated"))
        return
    b = ctx.codes(value)
    int_type = b.params.int_type
    mask = ctx.initializer(np.asarray(int_type.qmin + int_type.qmax, int_type.dtype), f"{node.name}_mirror")
    mirrored = QuantParams(b.params.scale, int_type.qmin + int_type.qmax - b.params.zero_point.astype(np.int16), int_type)
    dtype = ir.DataType.from_numpy(int_type.dtype)
    negated = ctx.emit("BitwiseXor", [b.value, mask], b.value, dtype, name=f"{node.name}/negate", output=f"{value.name}_negated")
    _emit_add(node, ctx, a, Codes(negated, mirrored))


def lower_mul(node: ir.Node, ctx: Context) -> None:
    """y = a b; by a positive constant scalar the codes stay and only their scale changes."""
    output = node.outputs[0]
    if str(output.name) in ctx.plan.wide:
        lower_wide_product(node, ctx)
        return
    factor = scalar_factor(node)
    if factor is None:
        ctx.set_codes(output, emit_mul(node, ctx, ctx.codes(node.inputs[0]), ctx.codes(node.inputs[1])))
        return
    value = next(v for v in node.inputs if v is not None and const_array(v) is None)
    x = ctx.codes(value)
    scaled = Codes(x.value, replace(x.params, scale=x.params.scale * np.float32(factor)))
    wanted = ctx.params(output)
    if ctx.grid.powers and scaled.params != wanted:
        lower_table(node, ctx)
        return
    ctx.set_codes(output, scaled if scaled.params == wanted else requantize(ctx, scaled, wanted, str(output.name), ctx.grid))


def _emit_add(node: ir.Node, ctx: Context, a: Codes, b: Codes) -> None:
    y = ctx.params(node.outputs[0])
    a, b = (_as_summed(node, ctx, codes, step, y) for codes, step in ((a, "a"), (b, "b")))
    found = certified_sum(a.params, b.params, y, adds_in_integers=ctx.target.arithmetic.adds_in_integers, grid=ctx.grid)
    multipliers = [Multiplier.of(found.a.scale / y.scale), Multiplier.of(found.b.scale / y.scale)]
    ctx.set_codes(node.outputs[0], _emit_binary(node, ctx, "QLinearAdd", a, b, found, multipliers))


def _as_summed(node: ir.Node, ctx: Context, codes: Codes, step: str, y: QuantParams) -> Codes:
    """An operand of a sum; in steps of the sum where multipliers are short, so that codes are added as they are."""
    if ctx.grid.free or ctx.grid.powers or codes.params.scale == y.scale:
        return codes
    return requantize(ctx, codes, y, f"{node.name}_{step}", ctx.grid)


def emit_mul(node: ir.Node, ctx: Context, a: Codes, b: Codes) -> Codes:
    """The QLinearMul of two tensors of codes, for the output of `node`."""
    y = ctx.params(node.outputs[0])
    found = certified_product(a.params, b.params, y, ctx.grid)
    return _emit_binary(node, ctx, "QLinearMul", a, b, found, [Multiplier.of(mul_scale(found.a.scale, found.b.scale, y.scale))])


def _emit_binary(
    node: ir.Node, ctx: Context, op_type: str, a: Codes, b: Codes, found: OperandPair, multipliers: list[Multiplier]
) -> Codes:
    """A node of two operands with the scales that are proved."""
    output = node.outputs[0]
    y = ctx.params(output)
    inputs = [
        a.value,
        *ctx.scale_and_zero_point(a.params, f"{node.name}_a", found.a.scale),
        b.value,
        *ctx.scale_and_zero_point(b.params, f"{node.name}_b", found.b.scale),
        *ctx.scale_and_zero_point(y, f"{node.name}_y"),
    ]
    return ctx.emit_codes(op_type, inputs, output, y, domain=MS, multiplier=multipliers, certificate=found.certificate)
