"""Nodes in place of a table, where they give the very codes of the table and take less time.

    Tanh    2 sigmoid(2 x) - 1: one QLinearSigmoid, which reads twice the scale and writes codes of half the scale
    Neg     the codes mirrored, by an exclusive or; where the parameters are mirrored too
    Abs     max(x, 0) - min(x, 0): Max, Min, the second mirrored, and a QLinearAdd

A table is four nodes, one of which gathers elements; docs/tuning.md has the times.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from qconv.lower.builder import MS
from qconv.lower.context import Context
from qconv.lower.values import Codes
from qconv.model.evaluate import run_node
from qconv.quant.certify import Certificate
from qconv.quant.fixedpoint import Int64Array, Multiplier
from qconv.quant.operand_pairs import certified_sum
from qconv.quant.tables import add_table, codes_of, sigmoid_table
from qconv.quant.types import QuantParams
from qconv.targets import Tuning

Form = Callable[[ir.Node, Context, Codes, Int64Array], Codes | None]

_WHOLE = 1e-4  # of a code


def cheaper_form(node: ir.Node, ctx: Context, x: Codes, table: Int64Array) -> Codes | None:
    """The codes of the node's output without its `table` of all codes, ascending; None where only the table gives them."""
    form = _FORMS.get(node.op_type)
    wanted = Tuning.CHEAPER_TABLES in ctx.target.tuning and ctx.grid.free
    return form(node, ctx, x, table) if form is not None and wanted else None


def _tanh(node: ir.Node, ctx: Context, x: Codes, table: Int64Array) -> Codes | None:
    y = ctx.params(node.outputs[0])
    one = 1.0 / float(y.scale)
    lowest, limits = int(y.zero_point) - round(one), np.iinfo(y.int_type.dtype)
    if abs(one - round(one)) > _WHOLE or not limits.min <= lowest <= limits.max:
        return None
    twice = replace(x.params, scale=x.params.scale * np.float32(2.0))
    half = QuantParams(y.scale * np.float32(0.5), np.asarray(lowest), replace(y.int_type, bits=8))
    if not _same(sigmoid_table(twice, half), table, y) or not _same(_sigmoid_kernel(twice, half), table, y):
        return None
    inputs = [x.value, *ctx.scale_and_zero_point(twice, f"{node.name}_x"), *ctx.scale_and_zero_point(half, f"{node.name}_y")]
    certificate = Certificate.of_equal_codes(x.params.int_type.qmin, x.params.int_type.qmax)
    return ctx.emit_codes("QLinearSigmoid", inputs, node.outputs[0], y, domain=MS, certificate=certificate)


def _neg(node: ir.Node, ctx: Context, x: Codes, table: Int64Array) -> Codes | None:
    y = ctx.params(node.outputs[0])
    params = _mirrored_params(x.params)
    mirrored = codes_of(x.params.int_type)[::-1]
    if not np.array_equal(mirrored, table) or params != y:
        return None
    return ctx.emit_codes("BitwiseXor", [x.value, _mask(ctx, x, str(node.name))], node.outputs[0], y, clamp=False)


def _abs(node: ir.Node, ctx: Context, x: Codes, table: Int64Array) -> Codes | None:
    y, codes, zero = ctx.params(node.outputs[0]), codes_of(x.params.int_type), int(x.params.zero_point)
    below = _mirrored_params(x.params)
    found = certified_sum(x.params, below, y, adds_in_integers=ctx.target.arithmetic.adds_in_integers)
    lowest = int(codes[0])
    mirror = codes[0] + codes[-1]
    pairs = add_table(found.a, found.b, y)[np.maximum(codes, zero) - lowest, mirror - np.minimum(codes, zero) - lowest]
    if found.certificate.proved < found.certificate.scales or not _same(pairs, table, y):
        return None
    value, name, dtype = x.value, str(node.name), ir.DataType.from_numpy(x.params.int_type.dtype)
    middle = ctx.initializer(np.asarray(zero, x.params.int_type.dtype), f"{name}_zero")
    ends = [ctx.emit(op, [value, middle], value, dtype, name=f"{name}/{op}", output=f"{name}_{op}") for op in ("Max", "Min")]
    negated = ctx.emit(
        "BitwiseXor", [ends[1], _mask(ctx, x, name)], value, dtype, name=f"{name}/negate", output=f"{name}_negated"
    )  # fmt: skip
    inputs = [
        ends[0], *ctx.scale_and_zero_point(found.a, f"{name}_a"), negated, *ctx.scale_and_zero_point(found.b, f"{name}_b"),
        *ctx.scale_and_zero_point(y, f"{name}_y"),
    ]  # fmt: skip
    multipliers = [Multiplier.of(operand.scale / y.scale) for operand in (found.a, found.b)]
    return ctx.emit_codes(
        "QLinearAdd", inputs, node.outputs[0], y, domain=MS, multiplier=multipliers, certificate=found.certificate
    )  # fmt: skip


def _mirrored_params(params: QuantParams) -> QuantParams:
    """The parameters under which codes qmin + qmax - q of the container stand for -x."""
    limits = np.iinfo(params.int_type.dtype)
    zero_point = np.asarray(int(limits.min) + int(limits.max) - int(params.zero_point), np.int16)
    return QuantParams(params.scale, zero_point, replace(params.int_type, bits=8))


def _mask(ctx: Context, x: Codes, name: str) -> ir.Value:
    dtype = x.params.int_type.dtype
    return ctx.initializer(np.asarray(-1 if dtype == np.int8 else 255, dtype), f"{name}_mirror")


def _sigmoid_kernel(x: QuantParams, y: QuantParams) -> Int64Array:
    """What onnxruntime's kernel makes of all codes."""
    codes = codes_of(x.int_type).astype(x.int_type.dtype)
    arrays = [codes, x.scale, x.zero_point.astype(codes.dtype), y.scale, y.zero_point.astype(codes.dtype)]
    return run_node("QLinearSigmoid", arrays, domain=MS)[0].astype(np.int64)


def _same(found: Int64Array, table: Int64Array, y: QuantParams) -> bool:
    """Whether a form gives the codes of the table, once they are clipped to those of y."""
    return np.array_equal(np.clip(found, y.int_type.qmin, y.int_type.qmax), table)


_FORMS: Mapping[str, Form] = {"Abs": _abs, "Neg": _neg, "Tanh": _tanh}
