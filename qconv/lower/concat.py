"""Concat -> Concat on codes where all parameters agree, else QLinearConcat, which rescales the inputs that differ."""

from __future__ import annotations

import onnx_ir as ir

from qconv.lower.affine import certified_affine
from qconv.lower.builder import MS
from qconv.lower.context import Context
from qconv.lower.values import Codes, Wide
from qconv.lower.wide import WideBuilder
from qconv.model.graph import attr_int, const_array
from qconv.quant.certify import combine
from qconv.quant.fixedpoint import Multiplier


def lower_concat(node: ir.Node, ctx: Context) -> None:
    """Joins codes along an axis, or wide integers where the plan says that the result is wide."""
    output = node.outputs[0]
    if str(output.name) in ctx.plan.wide:
        _lower_wide(node, ctx)
        return
    y = ctx.params(output)
    parts = [ctx.codes_as(v, y) if const_array(v) is not None else ctx.codes(v) for v in node.inputs]
    axis = attr_int(node, "axis", 0)
    if all(part.params == y for part in parts):
        codes = ctx.emit_codes("Concat", [part.value for part in parts], output, y, attributes={"axis": axis}, clamp=False)
    else:
        codes = _rescaling(node, ctx, parts, axis)
    ctx.set_codes(output, codes)


def _lower_wide(node: ir.Node, ctx: Context) -> None:
    """All parts in the same steps of int32, and the codes of the result for those that read them."""
    output, build = node.outputs[0], WideBuilder(ctx, str(node.name))
    parts = [build.operand(value, f"part{index}") for index, value in enumerate(node.inputs) if value is not None]
    joined = build.in_same_steps(parts)
    axis = attr_int(node, "axis", 0)
    value = build.emit("Concat", [part.value for part in joined], output, "joined", axis=axis)
    low, high = min(part.low for part in joined), max(part.high for part in joined)
    wide = Wide(value, joined[0].scale, 0.0, low, high)
    ctx.set_wide(output, wide)
    ctx.set_codes(output, build.rescaled(wide, ctx.params(output), output))


def _rescaling(node: ir.Node, ctx: Context, parts: list[Codes], axis: int) -> Codes:
    output = node.outputs[0]
    y = ctx.params(output)
    inputs = [*ctx.scale_and_zero_point(y, f"{node.name}_y")]
    multipliers, certificates = [], []
    for index, part in enumerate(parts):
        scale, certificate = certified_affine(part.params, y, ctx.grid)
        certificates.append(certificate)
        multipliers.append(Multiplier.of(scale / y.scale))
        inputs += [part.value, *ctx.scale_and_zero_point(part.params, f"{node.name}_x{index}", scale)]
    return ctx.emit_codes(
        "QLinearConcat", inputs, output, y, domain=MS, attributes={"axis": axis}, multiplier=multipliers,
        certificate=combine(certificates),
    )  # fmt: skip
