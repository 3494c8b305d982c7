"""Clamps, LeakyRelu, Sigmoid, HardSigmoid, HardSwish and Softmax."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from qconv.lower.affine import certified_affine
from qconv.lower.arithmetic import emit_mul
from qconv.lower.attention import lower_exponentials
from qconv.lower.builder import MS
from qconv.lower.context import Context
from qconv.lower.fine_softmax import lower_fine_softmax
from qconv.lower.lookup import lower_table
from qconv.lower.steep import lower_wide_clamp
from qconv.lower.values import Codes
from qconv.model.evaluate import run_node
from qconv.model.graph import attr_float, attr_int, const_array
from qconv.ops.scale_rules import hard_sigmoid_params
from qconv.quant.certify import Certificate, certify_table
from qconv.quant.fixedpoint import Int64Array, Multiplier, round_shift_half_up
from qconv.quant.hard_swish import cut_gate
from qconv.quant.tables import codes_of, leaky_relu_table, ort_leaky_relu_table, sigmoid_table
from qconv.quant.types import FloatArray, QuantParams, is_fine

_STEEPEST = 256.0  # slope of a LeakyRelu whose multiplier is proved


def lower_clamp(node: ir.Node, ctx: Context) -> None:
    """Relu and Clip: nothing where the range of the codes implies the bounds, else an integer Clip."""
    output, value = node.outputs[0], node.inputs[0]
    assert value is not None
    params = ctx.params(output)
    if str(node.name) in ctx.plan.steep:
        lower_wide_clamp(node, ctx, _real_bounds(node))
        return
    x = ctx.codes_as(value, params)
    lo, hi = _bounds(node, params)
    int_type = params.int_type
    if lo <= int_type.qmin and hi >= int_type.qmax:
        ctx.alias(output, x, value)
    else:
        ctx.set_codes(output, ctx.clip(x, output, max(lo, int_type.qmin), min(hi, int_type.qmax), name=str(node.name)))


def _real_bounds(node: ir.Node) -> tuple[float, float]:
    """The bounds of a clamp."""
    lo, hi = (0.0, math.inf) if node.op_type == "Relu" else (-math.inf, math.inf)
    if node.op_type == "Clip":
        arrays = [const_array(node.inputs[i]) if i < len(node.inputs) else None for i in (1, 2)]
        lo = float(arrays[0].reshape(())) if arrays[0] is not None else lo
        hi = float(arrays[1].reshape(())) if arrays[1] is not None else hi
    return lo, hi


def _bounds(node: ir.Node, params: QuantParams) -> tuple[int, int]:
    """The bounds of a clamp as codes; rounded as the values themselves are, so that clamping and rounding commute."""
    codes = params.quantize(np.asarray(_real_bounds(node), np.float32))
    return int(codes[0]), int(codes[1])


def lower_leaky_relu(node: ir.Node, ctx: Context) -> None:
    """One multiplier above zero, another below; proved over all codes. The kernel has positive slopes only."""
    x, y = ctx.codes(node.inputs[0]), ctx.params(node.outputs[0])
    alpha = attr_float(node, "alpha", 0.01)
    if not 0 < alpha < _STEEPEST or not ctx.grid.free:
        lower_table(node, ctx)
        return
    scale, certificate = certify_table(
        x.params,
        lambda x: leaky_relu_table(x, y, alpha),
        lambda x: ort_leaky_relu_table(x, y, alpha),
        half_up=lambda x: leaky_relu_table(x, y, alpha, round_shift_half_up),
    )
    slope = np.float32(np.float32(alpha) * scale)
    multiplier = [Multiplier.of(scale / y.scale), Multiplier.of(slope / y.scale)]
    _unary(node, ctx, "QLinearLeakyRelu", x, y, scale, {"alpha": alpha}, multiplier, certificate)


def lower_sigmoid(node: ir.Node, ctx: Context) -> None:
    """A table in onnxruntime; proved equal to the correctly rounded one by running the kernel on all codes."""
    if ctx.grid.powers or is_fine(ctx.params(node.outputs[0])):
        lower_table(node, ctx)
        return
    x, y = ctx.codes(node.inputs[0]), ctx.params(node.outputs[0])
    scale, certificate = certify_table(x.params, lambda x: sigmoid_table(x, y), lambda x: _kernel_table("QLinearSigmoid", x, y))
    _unary(node, ctx, "QLinearSigmoid", x, y, scale, {}, [], certificate)


def lower_softmax(node: ir.Node, ctx: Context) -> None:
    """QLinearSoftmax: the one kernel that is float inside; it sums a float32 table of exponentials."""
    if str(node.outputs[0].name) in ctx.plan.wide:
        lower_exponentials(node, ctx)
        return
    if is_fine(ctx.params(node.outputs[0])):
        lower_fine_softmax(node, ctx)
        return
    x, y = ctx.codes(node.inputs[0]), ctx.params(node.outputs[0])
    assert node.inputs[0] is not None and node.inputs[0].shape is not None
    axis = attr_int(node, "axis", -1) % len(node.inputs[0].shape)
    _unary(node, ctx, "QLinearSoftmax", x, y, x.params.scale, {"axis": axis, "opset": 13}, [], None)


def lower_hard_sigmoid(node: ir.Node, ctx: Context) -> None:
    """clip(alpha x + beta, 0, 1) is a change of parameters: scale alpha S_x, and beta / S_y added to the zero point."""
    y = ctx.params(node.outputs[0])
    alpha, beta = attr_float(node, "alpha", 0.2), attr_float(node, "beta", 0.5)
    codes = _hard_sigmoid(node, ctx, alpha, beta, y) if ctx.grid.free and not is_fine(y) else None
    if codes is None:
        lower_table(node, ctx)
    else:
        ctx.set_codes(node.outputs[0], codes)


def lower_hard_swish(node: ir.Node, ctx: Context) -> None:
    """x clip(x / 6 + 1/2, 0, 1): a product of x and its codes cut off, or of x and a HardSigmoid."""
    if not ctx.grid.free:
        lower_table(node, ctx)
        return
    x, y = ctx.codes(node.inputs[0]), ctx.params(node.outputs[0])
    found = cut_gate(x.params, y)
    if found is not None:
        gate_params, high = found
        cut = ctx.clip(Codes(x.value, gate_params), node.outputs[0], int(gate_params.zero_point), high, final=False)
        ctx.set_codes(node.outputs[0], emit_mul(node, ctx, x, cut))
        return
    params = hard_sigmoid_params(0.5, x.params.int_type)
    gate = _hard_sigmoid(node, ctx, 1.0 / 6.0, 0.5, params, "hard_sigmoid")
    assert gate is not None
    ctx.set_codes(node.outputs[0], emit_mul(node, ctx, x, gate))


def _hard_sigmoid(node: ir.Node, ctx: Context, alpha: float, beta: float, y: QuantParams, step: str = "") -> Codes | None:
    """The codes of a HardSigmoid, or None where beta is not a code of y or alpha is not positive.

    `step` names it where it is a step on the way to the codes of the node's output.
    """
    x, tensor = ctx.codes(node.inputs[0]), node.outputs[0]
    steps = beta / float(y.scale)
    shift = int(y.zero_point) + round(steps)
    limits = np.iinfo(y.int_type.dtype)
    if alpha <= 0 or abs(steps - round(steps)) > 1e-4 or not limits.min <= shift <= limits.max:
        return None
    steep = replace(x.params, scale=np.float32(alpha) * x.params.scale)
    shifted = QuantParams(y.scale, np.asarray(shift), replace(y.int_type, bits=8))
    scale, certificate = certified_affine(steep, shifted)
    name, final = f"{node.name}/{step}" if step else str(node.name), not step
    wish = str(tensor.name) if final else name
    inputs = [*ctx.scale_and_zero_point(shifted, f"{wish}_y"), x.value, *ctx.scale_and_zero_point(steep, f"{wish}_x", scale)]
    codes = ctx.emit_codes(
        "QLinearConcat", inputs, tensor, y, name=name, output=f"{wish}_quantized", final=final, domain=MS,
        attributes={"axis": 0}, multiplier=[Multiplier.of(scale / y.scale)], certificate=certificate, clamp=False,
    )  # fmt: skip
    one = int(y.zero_point) + math.floor(1.0 / float(y.scale) + 0.5)
    return ctx.clip(codes, tensor, max(int(y.zero_point), y.int_type.qmin), min(one, y.int_type.qmax), final=final)


def _unary(
    node: ir.Node, ctx: Context, op_type: str, x: Codes, y: QuantParams, scale: FloatArray,
    attributes: dict[str, int | float], multiplier: list[Multiplier], certificate: Certificate | None,
) -> None:  # fmt: skip
    output = node.outputs[0]
    inputs = [
        x.value,
        *ctx.scale_and_zero_point(x.params, f"{node.name}_x", scale),
        *ctx.scale_and_zero_point(y, f"{node.name}_y"),
    ]
    codes = ctx.emit_codes(
        op_type, inputs, output, y, domain=MS, attributes=attributes, multiplier=multiplier, certificate=certificate
    )
    ctx.set_codes(output, codes)


def _kernel_table(op_type: str, x: QuantParams, y: QuantParams) -> Int64Array:
    """What an onnxruntime kernel makes of all 256 codes."""
    codes = codes_of(x.int_type).astype(x.int_type.dtype)
    arrays = [codes, x.scale, x.zero_point, y.scale, y.zero_point]
    return run_node(op_type, arrays, domain=MS)[0].astype(np.int64)
