"""Any function of one element, or of two, -> a table of codes, looked up by GatherElements.

one element               table[q], 256 entries
and one of k constants    table[256 j + q], j the number of the constant that stands at a place
two elements              table[256 q_a + q_b]
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.lower.cheaper import cheaper_form
from qconv.lower.context import Context
from qconv.lower.steep import lower_wide_product, wide_index
from qconv.lower.values import Codes
from qconv.lower.wide import WideBuilder
from qconv.model.evaluate import run_float_node
from qconv.model.graph import const_array
from qconv.quant.tables import codes_of
from qconv.quant.types import FloatArray, QuantParams, is_fine

_CODES = 256


def lower_table(node: ir.Node, ctx: Context) -> None:
    """table[q] = quantize(f(dequantize(q))), with f computed once by onnxruntime's float kernel.

    The codes are flattened, because GatherElements wants data and indices of one rank, and cast, because it wants int32. An
    index below zero counts from the end, so that the entries of negative codes stand there. Where f has no value, as Acos above
    1, that of the nearest code that has one stands in: the network only comes there by rounding.
    """
    constants = [const_array(value) for value in node.inputs]
    place = next(index for index, array in enumerate(constants) if array is None)
    value, y = node.inputs[place], ctx.params(node.outputs[0])
    if str(node.name) in ctx.plan.steep and value is not None and (wide := ctx.wide(value)) is not None:
        entries, index = wide_index(node, ctx, wide, place)
        _set(node, ctx, y.quantize(_defined(entries)), _flat(node, ctx, index, ir.DataType.INT32), wide.value)
        return
    x = ctx.codes(value)
    with np.errstate(all="ignore"):
        values = run_float_node(node, [*constants[:place], _reals(x.params), *constants[place + 1 :]])[0].reshape(-1)
    table = y.quantize(_defined(values))
    cheaper = None if is_fine(y) else cheaper_form(node, ctx, x, table.astype(np.int64))
    if cheaper is not None:
        ctx.set_codes(node.outputs[0], cheaper)
        return
    _set(node, ctx, _for_index(table, x.params), _index(node, ctx, x), x.value)


def lower_two_table(node: ir.Node, ctx: Context) -> None:
    """A function of an element and another one, which is constant or computed."""
    first, second = (const_array(value) for value in node.inputs)
    if str(node.outputs[0].name) in ctx.plan.wide:
        lower_wide_product(node, ctx)
    elif any(array is not None and array.size == 1 for array in (first, second)):
        lower_table(node, ctx)
    elif second is not None:
        _with_constants(node, ctx, second)
    else:
        _of_pairs(node, ctx)


def lower_test(node: ir.Node, ctx: Context) -> None:
    """Integers or truth values of reals: a table of them."""
    x, output = ctx.codes(node.inputs[0]), node.outputs[0]
    assert output.dtype is not None
    with np.errstate(all="ignore"):
        table = run_float_node(node, [_reals(x.params)])[0]
    name, wish = str(node.name), str(output.name)
    found = _gather(node, ctx, _for_index(table, x.params), _index(node, ctx, x))
    shape = ctx.shape_of(output, x.value, name)
    result = ctx.emit("Reshape", [found, shape], output, output.dtype, name=name, output=f"{wish}_looked_up")
    output.name, result.name = f"{wish}_replaced", wish
    output.replace_all_uses_with(result, replace_graph_outputs=True)


def _with_constants(node: ir.Node, ctx: Context, second: NDArray[np.generic]) -> None:
    x, y = ctx.codes(node.inputs[0]), ctx.params(node.outputs[0])
    kinds, places = np.unique(second, return_inverse=True)
    with np.errstate(all="ignore"):
        rows = [_defined(run_float_node(node, [_reals(x.params), kind])[0]) for kind in kinds.reshape(-1, 1)]
    build, low = WideBuilder(ctx, str(node.name)), int(codes_of(x.params.int_type)[0])
    starts = build.constant(places.reshape(second.shape).astype(np.int64) * _CODES - low, "starts")
    moved = build.emit("Add", [build.of_codes(x, "wide").value, starts], node.outputs[0], "places")
    _set(node, ctx, y.quantize(np.concatenate(rows)), _flat(node, ctx, moved, ir.DataType.INT32), moved)


def _of_pairs(node: ir.Node, ctx: Context) -> None:
    a, b, y = ctx.codes(node.inputs[0]), ctx.codes(node.inputs[1]), ctx.params(node.outputs[0])
    with np.errstate(all="ignore"):
        values = run_float_node(node, [np.repeat(_reals(a.params), _CODES), np.tile(_reals(b.params), _CODES)])[0]
    build = WideBuilder(ctx, str(node.name))
    low = int(codes_of(a.params.int_type)[0]) * _CODES + int(codes_of(b.params.int_type)[0])
    rows = build.emit("Mul", [build.of_codes(a, "first").value, build.constant(_CODES, "codes")], a.value, "rows")
    columns = build.of_codes(b, "second").value
    if low:
        columns = build.emit("Sub", [columns, build.constant(low, "lowest")], b.value, "columns")
    place = build.emit("Add", [rows, columns], node.outputs[0], "places")
    _set(node, ctx, y.quantize(_defined(values)), _flat(node, ctx, place, ir.DataType.INT32), place)


def _reals(params: QuantParams) -> FloatArray:
    """The reals of all codes, the lowest first."""
    return params.dequantize(codes_of(params.int_type).astype(params.int_type.dtype))


def _for_index(table: NDArray[np.generic], params: QuantParams) -> NDArray[np.generic]:
    """The entries of codes below zero at the end."""
    return np.roll(table, int(codes_of(params.int_type)[0]))


def _index(node: ir.Node, ctx: Context, x: Codes) -> ir.Value:
    """The codes as indices in a row; those of negative codes count from the end."""
    flat = _flat(node, ctx, x.value, ir.DataType.from_numpy(x.params.int_type.dtype))
    name, to = str(node.name), ir.DataType.INT32
    return ctx.emit("Cast", [flat], flat, to, name=f"{name}/index", output=f"{name}_index", attributes={"to": int(to)})


def _flat(node: ir.Node, ctx: Context, value: ir.Value, dtype: ir.DataType) -> ir.Value:
    name, like = str(node.name), ir.Value(shape=ir.Shape([None]))
    every = ctx.initializer(np.asarray([-1], np.int64), f"{name}_flat")
    return ctx.emit("Reshape", [value, every], like, dtype, name=f"{name}/flatten", output=f"{name}_flattened")


def _gather(node: ir.Node, ctx: Context, table: NDArray[np.generic], index: ir.Value) -> ir.Value:
    name, dtype = str(node.name), ir.DataType.from_numpy(table.dtype)
    entries = ctx.initializer(table, f"{name}_table")
    return ctx.emit(
        "GatherElements", [entries, index], ir.Value(shape=ir.Shape([None])), dtype,
        name=f"{name}/lookup", output=f"{name}_looked_up", attributes={"axis": 0},
    )  # fmt: skip


def _set(node: ir.Node, ctx: Context, table: NDArray[np.generic], index: ir.Value, like: ir.Value) -> None:
    """The entries of `table` in the shape of the output, which `like` has."""
    y, output = ctx.params(node.outputs[0]), node.outputs[0]
    found = _gather(node, ctx, table, index)
    shape = ctx.shape_of(output, like, str(node.name))
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
