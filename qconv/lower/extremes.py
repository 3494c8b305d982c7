"""Max, Min and Where: one of several tensors at each place, on codes with the same parameters."""

from __future__ import annotations

import onnx_ir as ir

from qconv.lower.context import Context


def lower_choice(node: ir.Node, ctx: Context) -> None:
    """The op itself, on codes that are rescaled where their parameters differ; the condition of a Where stays as it is."""
    output = node.outputs[0]
    y = ctx.params(output)
    first = 1 if node.op_type == "Where" else 0
    parts = [ctx.codes_as(value, y).value for value in node.inputs[first:]]
    ctx.set_codes(output, ctx.emit_codes(node.op_type, [*node.inputs[:first], *parts], output, y, clamp=False))
