"""A Softmax whose probabilities have 16 bits, in int32.

    e = round(2^15 exp(S (z - max z)))        y = min(floor((2^15 e + sum e / 2) / sum e), 32767)        in steps of 2^-15

The sum of up to 65,535 exponentials stays in int32, and so does 2^15 e + sum e / 2.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from qconv.lower.context import Context
from qconv.lower.entries import entries_at
from qconv.lower.wide import WideBuilder
from qconv.model.graph import attr_int
from qconv.quant.types import INT16

_BITS = 15


def lower_fine_softmax(node: ir.Node, ctx: Context) -> None:
    """The probabilities along one axis, from a table of exponentials."""
    output, build, x = node.outputs[0], WideBuilder(ctx, str(node.name)), ctx.codes(node.inputs[0])
    assert output.shape is not None
    axis = attr_int(node, "axis", -1) % len(output.shape)
    column = ir.Value(shape=ir.Shape([1 if place == axis else size for place, size in enumerate(output.shape)]))
    axes = ctx.initializer(np.asarray([axis]), f"{node.name}_axis")
    wide, dtype = build.of_codes(x, "wide"), ir.DataType.from_numpy(x.params.int_type.dtype)
    largest = build.emit("ReduceMax", [x.value, axes], column, "largest", dtype, keepdims=1)
    most = build.emit("Cast", [largest], column, "most", to=int(ir.DataType.INT32))
    below = build.emit("Sub", [most, wide.value], output, "below")
    table = np.rint(np.ldexp(np.exp(-np.arange(256) * wide.scale), _BITS))
    entries = entries_at(build, build.constant(table, "exponentials"), below, output, "exponential")
    size = output.shape[axis]
    if axis == len(output.shape) - 1 and isinstance(size, int):
        total = build.sum_of_rows(entries, size, "total")
    else:
        total = build.emit("ReduceSum", [entries, axes], column, "total", keepdims=1)
    half = build.over(total, 2, column, "half")
    steps = build.emit("Mul", [entries, build.constant(1 << _BITS, "unit")], output, "finer")
    share = build.emit("Div", [build.emit("Add", [steps, half], output, "moved"), total], output, "rounded")
    share = build.emit("Min", [share, build.constant(INT16.qmax, "largest")], output, "share")
    to = {"to": int(ir.DataType.INT16)}
    ctx.set_codes(output, ctx.emit_codes("Cast", [share], output, ctx.params(output), attributes=to, clamp=False))
