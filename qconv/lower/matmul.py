"""Gemm -> QGemm, MatMul -> QLinearMatMul."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.errors import ArtifactError
from qconv.lower.attention import lower_weighted_mean
from qconv.lower.builder import MS
from qconv.lower.context import Context
from qconv.lower.copies import with_copies
from qconv.lower.linear import Linear, quantize_linear
from qconv.lower.planes import lower_planes
from qconv.lower.steep import set_wide
from qconv.lower.streams import added_to_stream, steps_of_stream
from qconv.lower.values import Codes, Wide
from qconv.lower.wide import WideBuilder
from qconv.model.graph import attr_int, const_array
from qconv.ops.forms import inner_size, reads_probabilities, summed_axes
from qconv.ops.kernel_order import kernel_order
from qconv.ops.op_table import Role, role_of
from qconv.plan.wide import divides_last, is_product_of_two
from qconv.quant.certify import certify_one, effective_scale
from qconv.quant.fixedpoint import ACC_LIMIT, Multiplier
from qconv.quant.params import accumulator_bounds
from qconv.quant.types import INT8, FloatArray, QuantParams, is_fine

_LONGEST_ROW = 16_000_000  # probabilities in a row of unknown length
_CODES = 1 << 8  # of 16 bits for one of 8
_ROW_SUM = 1.001  # of the float32 probabilities of a row


def lower_gemm(node: ir.Node, ctx: Context) -> None:
    """y = x W + b on matrices."""
    if str(node.outputs[0].name) in ctx.plan.wide:
        lower_planes(node, ctx) if _reads_wide(node, ctx) else _wide_product(node, ctx)
        return
    y = ctx.params(node.outputs[0])
    if is_fine(y):
        _fine_product(node, ctx, y)
        return
    trans_b = attr_int(node, "transB", 0)
    x, linear = _operands(node, ctx, y)
    weight = const_array(node.inputs[1])
    assert weight is not None
    bias = None
    if linear.bias is not None:
        columns = weight.shape[0 if trans_b else 1]
        bias = ctx.initializer(np.ascontiguousarray(np.broadcast_to(linear.bias, (columns,))), f"{node.name}_bias_quantized")
    inputs = [
        x.value,
        *ctx.scale_and_zero_point(x.params, f"{node.name}_x"),
        *_weight_inputs(node, ctx, linear),
        bias,
        *ctx.scale_and_zero_point(y, f"{node.name}_y"),
    ]
    codes = ctx.emit_codes(
        "QGemm", inputs, node.outputs[0], y, domain=MS, attributes={"transB": trans_b} if trans_b else {},
        multiplier=[linear.multiplier], certificate=linear.certificate,
    )  # fmt: skip
    ctx.set_codes(node.outputs[0], codes)


def lower_matmul(node: ir.Node, ctx: Context) -> None:
    """A product with a constant weight, or of two activations."""
    if node.inputs[0] is not None and str(node.inputs[0].name) in ctx.plan.wide and divides_last(node.inputs[0]):
        lower_weighted_mean(node, ctx)
        return
    if is_product_of_two(node) and str(node.outputs[0].name) in ctx.plan.wide:
        _wide_product_of_activations(node, ctx)
        return
    if _reads_wide(node, ctx):
        lower_planes(node, ctx)
        return
    if role_of(node, 1) is Role.DATA:
        _product_of_activations(node, ctx)
        return
    if str(node.outputs[0].name) in ctx.plan.wide:
        _wide_product(node, ctx)
        return
    y = ctx.params(node.outputs[0])
    if is_fine(y):
        _fine_product(node, ctx, y)
        return
    ctx.set_codes(node.outputs[0], _matmul(node, ctx, y))


def _reads_wide(node: ir.Node, ctx: Context) -> bool:
    """Whether a product leads to a steep function, and its operand is wide itself, or stands behind the matrix."""
    return str(node.name) in ctx.plan.steep and (
        role_of(node, 1) is Role.DATA or any(value is not None and ctx.wide(value) is not None for value in node.inputs)
    )


def _wide_product(node: ir.Node, ctx: Context) -> None:
    """The sums of a product with a constant matrix, at one scale for all columns in int32; and codes for other readers."""
    output, build = node.outputs[0], WideBuilder(ctx, str(node.name))
    y = ctx.params(output)
    sums, factor, shift = _accumulators(node, ctx, build, y)
    found = (added_to_stream(build, sums, factor, shift, unit, y, output) for unit in steps_of_stream(output, ctx))
    moved = next((wide for wide in found if wide is not None), None)
    wide = moved or build.affine(sums, factor, shift, y, output)
    ctx.set_wide(output, wide)
    ctx.set_codes(output, build.rescaled(wide, y, output))


def _fine_product(node: ir.Node, ctx: Context, y: QuantParams) -> None:
    """A product whose sums become codes of 16 bits."""
    output, build = node.outputs[0], WideBuilder(ctx, str(node.name))
    coarse = replace(y, scale=y.scale * np.float32(_CODES), int_type=INT8)
    sums, factor, shift = _accumulators(node, ctx, build, coarse)
    fine = build.affine(sums, factor, shift, y, output, reach=max(map(abs, y.ends)))
    ctx.set_codes(output, build.codes(fine, y, output))


def _accumulators(
    node: ir.Node, ctx: Context, build: WideBuilder, y: QuantParams
) -> tuple[Wide, NDArray[np.float64], NDArray[np.floating]]:
    """The sums of a product with a constant matrix in int32, and by column the step of one and what is added in reals."""
    x, linear = _operands(node, ctx, y)
    matrix = linear.codes.T if attr_int(node, "transB", 0) else linear.codes
    lows, highs = accumulator_bounds(matrix, (0,), None, x.params)
    zero_point = ctx.initializer(x.params.zero_point.reshape(()), f"{node.name}_x_zero_point")
    weight = ctx.initializer(np.ascontiguousarray(matrix), f"{node.name}_weight_quantized")
    sums = build.emit("MatMulInteger", [x.value, weight, zero_point], node.outputs[0], "sums")
    bias = ctx.bias(node)
    factor = np.broadcast_to(float(x.params.scale) * linear.scale.astype(np.float64), (matrix.shape[1],))
    return Wide(sums, 1.0, 0.0, int(lows.min()), int(highs.max())), factor, np.zeros(1) if bias is None else bias


def _operands(node: ir.Node, ctx: Context, y: QuantParams) -> tuple[Codes, Linear]:
    """The input of a product with a constant, and the constant."""
    x, value = ctx.codes(node.inputs[0]), node.inputs[1]
    weight = const_array(value)
    assert weight is not None and value is not None
    w, order, codes = ctx.params(value), kernel_order(node, weight.shape), ctx.weight_codes(value)
    bias, summed = ctx.bias(node), summed_axes(node)
    linear = quantize_linear(ctx.target, str(node.name), weight, bias, summed, x.params, w, y, order, codes, ctx.grid)
    last = -1 if x.value.shape is None else len(x.value.shape) - 1
    return with_copies(node, ctx, x, linear, (last, summed[0]), partial(kernel_order, node))


def _weight_inputs(node: ir.Node, ctx: Context, linear: Linear) -> list[ir.Value]:
    name = str(node.inputs[1].name) if node.inputs[1] is not None else ""
    return [ctx.initializer(linear.codes, f"{name}_quantized"), *ctx.scale_and_zero_point(linear.params, name)]


def _matmul(node: ir.Node, ctx: Context, y: QuantParams) -> Codes:
    x, linear = _operands(node, ctx, y)
    inputs = [
        x.value,
        *ctx.scale_and_zero_point(x.params, f"{node.name}_x"),
        *_weight_inputs(node, ctx, linear),
        *ctx.scale_and_zero_point(y, f"{node.name}_y"),
    ]
    return ctx.emit_codes(
        "QLinearMatMul", inputs, node.outputs[0], y, multiplier=[linear.multiplier], certificate=linear.certificate
    )


def _product_of_activations(node: ir.Node, ctx: Context) -> None:
    """Both operands are signed codes, or unsigned ones, which no x86 adds in 16 bits.

    Where unsigned ones meet VNNI for sure, the second is shifted to int8: the fast pairing (0.55 against 0.80 of float).
    """
    a, b, y = ctx.codes(node.inputs[0]), ctx.codes(node.inputs[1]), ctx.params(node.outputs[0])
    second = b if ctx.target.arithmetic.adds_pairs_in_int16 or b.params.int_type.signed else _as_int8(node, ctx, b)
    zero_point = int(y.zero_point)
    limits = np.iinfo(y.int_type.dtype)
    sums = _sums(node, a.params, b.params)

    def scale_of(scale: FloatArray) -> FloatArray:
        return effective_scale(scale, b.params.scale, y.scale)

    ends = limits.min - zero_point, limits.max - zero_point
    no_ties = ctx.target.arithmetic.rounds_ties_otherwise and ctx.grid.free
    scale, certificate = certify_one(a.params.scale, scale_of, *ends, *sums, ctx.grid, no_ties=no_ties)
    inputs = [
        a.value,
        *ctx.scale_and_zero_point(a.params, f"{node.name}_a", scale),
        second.value,
        *ctx.scale_and_zero_point(second.params, f"{node.name}_b"),
        *ctx.scale_and_zero_point(y, f"{node.name}_y"),
    ]
    multiplier = [Multiplier.of(scale_of(scale))]
    codes = ctx.emit_codes("QLinearMatMul", inputs, node.outputs[0], y, multiplier=multiplier, certificate=certificate)
    ctx.set_codes(node.outputs[0], codes)


def _wide_product_of_activations(node: ir.Node, ctx: Context) -> None:
    """The accumulators of a product of two activations, as they are."""
    a, b, output = ctx.codes(node.inputs[0]), ctx.codes(node.inputs[1]), node.outputs[0]
    build, (low, high) = WideBuilder(ctx, str(node.name)), _sums(node, a.params, b.params)
    zero_points = [
        ctx.initializer(codes.params.zero_point.reshape(()), f"{node.name}_{step}_zero_point")
        for codes, step in ((a, "a"), (b, "b"))
    ]
    sums = build.emit("MatMulInteger", [a.value, b.value, *zero_points], output, "sums")
    set_wide(node, ctx, build, Wide(sums, float(a.params.scale) * float(b.params.scale), 0.0, low, high))


def _sums(node: ir.Node, a: QuantParams, b: QuantParams) -> tuple[int, int]:
    """The least and the greatest sum (a - Za)(b - Zb).

    Codes of a row of n probabilities add up to no more than 1 / S_a and n / 2 for their roundings. Raises ArtifactError where a
    sum may leave int32.
    """
    inner = inner_size(node)
    ends = [(p.int_type.qmin - int(p.zero_point), p.int_type.qmax - int(p.zero_point)) for p in (a, b)]
    lefts = [end * (_LONGEST_ROW if inner is None else inner) for end in ends[0]]
    if reads_probabilities(node) and int(a.zero_point) == a.int_type.qmin:
        row = math.ceil(_ROW_SUM / float(a.scale) + (_LONGEST_ROW if inner is None else inner) / 2)
        lefts = [min(row, end) for end in lefts]
    products = [left * right for left in lefts for right in ends[1]]
    if max(map(abs, products)) >= ACC_LIMIT:
        raise ArtifactError(
            f"the sums of MatMul {node.name} may leave int32 under this plan; let the plan leave it in float (float_nodes)"
        )
    return min(products), max(products)


def _as_int8(node: ir.Node, ctx: Context, codes: Codes) -> Codes:
    """u8 codes as s8 with the zero point moved by 128: q XOR 0x80, read as two's complement, is q - 128."""
    mask = ctx.initializer(np.asarray(128, np.uint8), f"{node.name}_b_offset")
    flipped = ctx.emit(
        "BitwiseXor",
        [codes.value, mask],
        codes.value,
        ir.DataType.UINT8,
        name=f"{node.name}/flip",
        output=f"{node.name}_b_flipped",
    )
    signed = ctx.emit(
        "Cast", [flipped], codes.value, ir.DataType.INT8, name=f"{node.name}/signed", output=f"{node.name}_b_signed",
        attributes={"to": int(ir.DataType.INT8)},
    )  # fmt: skip
    return Codes(signed, QuantParams(codes.params.scale, codes.params.zero_point.astype(np.int16) - 128, INT8))
