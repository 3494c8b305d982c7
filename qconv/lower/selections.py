"""ScatterElements and ScatterND: elements that come from two tensors."""

from __future__ import annotations

import onnx_ir as ir

from qconv.lower.context import Context


def lower_scatter(node: ir.Node, ctx: Context) -> None:
    """The op itself, on codes with the parameters of the output."""
    output, (data, indices, updates) = node.outputs[0], node.inputs
    y = ctx.params(output)
    codes = [ctx.codes_as(value, y).value for value in (data, updates)]
    attributes = {a.name: a for a in node.attributes.values()}
    inputs = [codes[0], indices, codes[1]]
    ctx.set_codes(output, ctx.emit_codes(node.op_type, inputs, output, y, attributes=attributes, clamp=False))
