"""Functions of one code: a table of what onnxruntime's own kernel makes of all 256, and a Gather.

GatherElements would be four times as fast in onnxruntime, and onnx's reference does not compute it for long tables.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.lower.builder import Attribute
from qconv.lower.context import Context
from qconv.lower.standard.operands import reads_of, written_by
from qconv.lower.values import Codes
from qconv.model.evaluate import run_node
from qconv.model.graph import attr_int, const_array
from qconv.quant.tables import codes_of


def write_table(node: ir.Node, ctx: Context) -> ir.Value:
    """A quantized operator of one operand, element by element."""
    (x,) = reads_of(node)
    codes = codes_of(x.params.int_type).astype(x.params.int_type.dtype)
    constants = [const_array(value) for value in node.inputs[1:]]
    attributes = {a.name: a.value for a in node.attributes.values()}
    table = run_node(node.op_type, [codes, *constants], domain=node.domain, attributes=attributes)[0]
    return _look_up(ctx, str(node.name), x, table, node.outputs[0])


def write_concat(node: ir.Node, ctx: Context) -> ir.Value:
    """Each operand brought to the scale of the output by a table, where its own is another; a Concat where there are several."""
    y, name, output = written_by(node), str(node.name), node.outputs[0]
    scale, zero_point = node.inputs[:2]
    parts = []
    for index, x in enumerate(reads_of(node)):
        if x.params == y:
            parts.append(x.value)
            continue
        codes = codes_of(x.params.int_type).astype(x.params.int_type.dtype)
        arrays = [const_array(scale), const_array(zero_point), codes, x.params.scale, x.params.zero_point.astype(codes.dtype)]
        table = run_node("QLinearConcat", arrays, domain=node.domain, attributes={"axis": 0})[0]
        parts.append(_look_up(ctx, f"{name}/{index}" if len(node.inputs) > 5 else name, x, table, x.value))
    attributes: dict[str, Attribute] = {"axis": attr_int(node, "axis", 0)}
    if len(parts) == 1:
        return parts[0]
    dtype = ir.DataType.from_numpy(y.int_type.dtype)
    return ctx.emit("Concat", parts, output, dtype, name=name, output=f"{output.name}_joined", attributes=attributes)


def write_look_up(node: ir.Node, ctx: Context) -> ir.Value:
    """A table that is there already."""
    table, index = node.inputs
    assert table is not None and index is not None
    attributes: dict[str, Attribute] = {"axis": 0}
    dtype, output = table.dtype, node.outputs[0]
    assert dtype is not None
    return ctx.emit("Gather", [table, index], output, dtype, name=str(node.name), output=str(output.name), attributes=attributes)


def _look_up(ctx: Context, name: str, x: Codes, table: NDArray[np.generic], like: ir.Value) -> ir.Value:
    """table[x]; an index below zero counts from the end, where the entries of negative codes are put."""
    entries = ctx.initializer(np.roll(table, int(np.iinfo(x.params.int_type.dtype).min)), f"{name}_table")
    dtype = ir.DataType.from_numpy(table.dtype)
    to: dict[str, Attribute] = {"to": int(ir.DataType.INT32)}
    index = ctx.emit(
        "Cast", [x.value], like, ir.DataType.INT32, name=f"{name}/index", output=f"{name}_index", attributes=to
    )  # fmt: skip
    attributes: dict[str, Attribute] = {"axis": 0}
    return ctx.emit("Gather", [entries, index], like, dtype, name=name, output=f"{name}_looked_up", attributes=attributes)
