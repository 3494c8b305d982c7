"""Greater, Less, Equal and their like: the sign of a difference in int32."""

from __future__ import annotations

import onnx_ir as ir

from qconv.lower.context import Context
from qconv.lower.wide import WideBuilder


def lower_comparison(node: ir.Node, ctx: Context) -> None:
    """a - b against its zero; constants have 20 bits, so that a threshold between two codes stays between them."""
    output, build = node.outputs[0], WideBuilder(ctx, str(node.name))
    a, b = (build.operand(value, step) for value, step in zip(node.inputs, "ab", strict=True) if value is not None)
    like = ir.Value(shape=output.shape)
    difference = build.sum(a, b, like, -1)
    zero = build.constant(round(difference.zero), "zero")
    result = build.emit(node.op_type, [difference.value, zero], like, "compared", ir.DataType.BOOL)
    name = str(output.name)
    output.name = f"{name}_replaced"
    result.name = name
    output.replace_all_uses_with(result, replace_graph_outputs=True)
