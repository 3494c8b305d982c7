"""Any function of one element -> a table of 256 codes, looked up by GatherElements."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from qconv.lower.context import Context
from qconv.model.evaluate import run_float_node
from qconv.model.graph import const_array
from qconv.quant.tables import codes_of
from qconv.quant.types import FloatArray


def lower_table(node: ir.Node, ctx: Context) -> None:
    """table[q] = quantize(f(dequantize(q))), with f computed once by onnxruntime's float kernel.

    The codes are flattened, because GatherElements wants data and indices of one rank, and cast, because it wants int32. An
    index below zero counts from the end, so that the entries of negative codes stand there. Where f has no value, as Acos above
    1, that of the nearest code that has one stands in: the network only comes there by rounding.
    """
    constants, output = [const_array(value) for value in node.inputs], node.outputs[0]
    place = next(index for index, array in enumerate(constants) if array is None)
    x, y = ctx.codes(node.inputs[place]), ctx.params(output)
    reals = x.params.dequantize(codes_of(x.params.int_type).astype(x.params.int_type.dtype))
    with np.errstate(all="ignore"):
        table = y.quantize(_defined(run_float_node(node, [*constants[:place], reals, *constants[place + 1 :]])[0]))
    table = np.roll(table, int(codes_of(x.params.int_type)[0]))
    name, kinds = str(node.name), [ir.DataType.from_numpy(params.int_type.dtype) for params in (x.params, y)]
    flat_like = ir.Value(shape=ir.Shape([None]))
    flat = ctx.emit(
        "Reshape", [x.value, ctx.initializer(np.asarray([-1], np.int64), f"{name}_flat")], flat_like, kinds[0],
        name=f"{name}/flatten", output=f"{name}_flattened",
    )  # fmt: skip
    index = ctx.emit(
        "Cast",
        [flat],
        flat_like,
        ir.DataType.INT32,
        name=f"{name}/index",
        output=f"{name}_index",
        attributes={"to": int(ir.DataType.INT32)},
    )
    found = ctx.emit(
        "GatherElements", [ctx.initializer(table, f"{name}_table"), index], flat_like, kinds[1],
        name=f"{name}/lookup", output=f"{name}_looked_up", attributes={"axis": 0},
    )  # fmt: skip
    shape = ctx.shape_of(output, x.value, name)
    ctx.set_codes(output, ctx.emit_codes("Reshape", [found, shape], output, y, clamp=False))


def _defined(values: FloatArray) -> FloatArray:
    """`values` with each NaN replaced by the nearest number, the lower one of two; all NaN stay as they are."""
    known = np.flatnonzero(~np.isnan(values))
    if not known.size:
        return values
    places = np.arange(values.size)
    above = np.searchsorted(known, places).clip(max=known.size - 1)
    below = (above - 1).clip(min=0)
    nearer = np.abs(known[below] - places) <= np.abs(known[above] - places)
    return np.asarray(values[np.where(nearer, known[below], known[above])])
