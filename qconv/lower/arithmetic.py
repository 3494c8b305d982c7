"""Add, Sub and Mul of two tensors -> QLinearAdd and QLinearMul, each proved over all 65,536 pairs of codes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import onnx_ir as ir

from qconv.lower.context import MS, Context
from qconv.lower.values import Codes
from qconv.lower.wide import WideBuilder
from qconv.model.graph import const_array
from qconv.ops.forms import scalar_factor, signs_of_sum
from qconv.quant.certify import certify_table
from qconv.quant.fixedpoint import Int64Array, Multiplier, round_shift_half_up
from qconv.quant.neon import neon_add_table
from qconv.quant.params import params_of_constant
from qconv.quant.tables import ORT_ADD_FORMS, add_table, mul_scale, mul_table, ort_mul_table
from qconv.quant.types import FloatArray, QuantParams, Scheme

Table = Callable[..., Int64Array]


def lower_add(node: ir.Node, ctx: Context) -> None:
    """y = a + b; in int32 where the plan says that y is wide."""
    if str(node.outputs[0].name) in ctx.plan.wide:
        _add_wide(node, ctx)
        return
    _emit_add(node, ctx, ctx.codes(node.inputs[0]), ctx.codes(node.inputs[1]))


def _add_wide(node: ir.Node, ctx: Context) -> None:
    """The sum in int32, and its codes for those that read them."""
    output, build = node.outputs[0], WideBuilder(ctx, str(node.name))
    a, b = (build.operand(value, step) for value, step in zip(node.inputs, "ab", strict=True) if value is not None)
    total = build.sum(a, b, output, int(signs_of_sum(node)[1]))
    ctx.set_wide(output, total)
    ctx.set_codes(output, build.rescaled(total, ctx.params(output), output))


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
        params = params_of_constant(-array, Scheme(a.params.int_type))
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
    factor = scalar_factor(node)
    if factor is None:
        ctx.set_codes(output, emit_mul(node, ctx, ctx.codes(node.inputs[0]), ctx.codes(node.inputs[1])))
        return
    value = next(v for v in node.inputs if v is not None and const_array(v) is None)
    x = ctx.codes(value)
    scaled = Codes(x.value, replace(x.params, scale=x.params.scale * np.float32(factor)))
    wanted = ctx.params(output)
    ctx.set_codes(output, scaled if scaled.params == wanted else ctx.requantize(scaled, wanted, str(output.name)))


def _emit_add(node: ir.Node, ctx: Context, a: Codes, b: Codes) -> None:
    y = ctx.params(node.outputs[0])

    def nudged_alike(scale: FloatArray) -> FloatArray:
        """S_b raised by as many ulps as S_a: where a is Z_a, only b can leave a tie that kernels round differently."""
        ulps = scale.view(np.int32) - a.params.scale.view(np.int32)
        return (b.params.scale.view(np.int32) + ulps).view(np.float32)

    def multipliers(scale: FloatArray) -> list[Multiplier]:
        return [Multiplier.of(scale / y.scale), Multiplier.of(nudged_alike(scale) / y.scale)]

    x86 = (add_table, *ORT_ADD_FORMS)
    everywhere = (add_table, neon_add_table, *ORT_ADD_FORMS)
    choices = (everywhere,) if ctx.target.adds_in_integers else (everywhere, x86)
    ctx.set_codes(node.outputs[0], _emit_binary(node, ctx, "QLinearAdd", a, b, choices, multipliers, nudged_alike))


def emit_mul(node: ir.Node, ctx: Context, a: Codes, b: Codes) -> Codes:
    """The QLinearMul of two tensors of codes, for the output of `node`."""
    y = ctx.params(node.outputs[0])

    def multipliers(scale: FloatArray) -> list[Multiplier]:
        return [Multiplier.of(mul_scale(scale, b.params.scale, y.scale))]

    return _emit_binary(node, ctx, "QLinearMul", a, b, ((mul_table, ort_mul_table),), multipliers, lambda scale: b.params.scale)


def _emit_binary(
    node: ir.Node, ctx: Context, op_type: str, a: Codes, b: Codes, choices: Sequence[Sequence[Table]],
    multipliers: Callable[[FloatArray], list[Multiplier]], scale_of_b: Callable[[FloatArray], FloatArray],
) -> Codes:  # fmt: skip
    """A node of two operands; the scale of `a` is nudged until the first table of a choice, ours, equals all others.

    The first of `choices` for which there is such a scale counts. `scale_of_b` is the scale of `b` that goes with one of `a`.
    """
    output = node.outputs[0]
    y = ctx.params(output)

    def on_pairs(table: Table, a: QuantParams) -> Int64Array:
        return table(a, replace(b.params, scale=scale_of_b(a.scale)), y)

    for tables in choices:
        ours, *theirs = [partial(on_pairs, table) for table in tables]
        half_up = partial(on_pairs, partial(tables[0], rounding=round_shift_half_up))
        scale, certificate = certify_table(a.params, ours, *theirs, half_up=half_up)
        if certificate.proved == certificate.scales:
            break
    inputs = [
        a.value,
        *ctx.scale_and_zero_point(a.params, f"{node.name}_a", scale),
        b.value,
        *ctx.scale_and_zero_point(b.params, f"{node.name}_b", scale_of_b(scale)),
        *ctx.scale_and_zero_point(y, f"{node.name}_y"),
    ]
    return ctx.emit_codes(op_type, inputs, output, y, domain=MS, multiplier=multipliers(scale), certificate=certificate)
