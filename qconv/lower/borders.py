"""The borders of the integer part: inputs, outputs, and float nodes that read codes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import onnx_ir as ir

from qconv.config import Io
from qconv.integer.metadata import Meaning
from qconv.lower.context import Context
from qconv.lower.requantize import requantize
from qconv.lower.values import Codes
from qconv.lower.wide import WideBuilder
from qconv.model.graph import const_array, is_float
from qconv.quant.grids import power_of_two
from qconv.quant.pins import with_sign
from qconv.quant.types import INT8, INT16, UINT8, QuantParams

Reads = Mapping[ir.Value, Sequence[tuple[ir.Node, int]]]


def integer_inputs(ctx: Context, io: Io) -> None:
    """Gives the float graph inputs that integer nodes read the type of `io`; their names stay."""
    for value in ctx.graph.inputs:
        if not is_float(value) or str(value.name) not in ctx.plan.tensors:
            continue
        params = ctx.params(value)
        ctx.begin(next(iter(ctx.graph), None))
        # A type of its own: copies of the graph share the old one.
        value.type = ir.TensorType(ir.DataType.INT8 if _signed(io) else ir.DataType.UINT8)
        codes = value if _signed(io) == params.int_type.signed else _with_other_sign(ctx, value, f"{value.name}_quantized")
        ctx.set_codes(value, Codes(codes, params))
        ctx.borders[value] = _at_border(params, io)


def wide_inputs(ctx: Context) -> None:
    """The inputs that the plan wants in int32: codes of 16 bits around zero, as wide as their range."""
    for value in ctx.graph.inputs:
        if not is_float(value) or str(value.name) not in ctx.plan.wide:
            continue
        largest = max(map(abs, ctx.params(value).ends))
        finest = np.asarray(largest / INT16.qmax, np.float32)
        scale = power_of_two(finest) if ctx.grid.powers else finest
        params = QuantParams(scale, np.asarray(0, np.int16), INT16)
        ctx.begin(next(iter(ctx.graph), None))
        name = f"{value.name}/quantize_fine"
        parameters = ctx.scale_and_zero_point(params, f"{value.name}_fine")
        codes = ctx.emit_codes(
            "QuantizeLinear", [value, *parameters], value, params, name=name, source=name, output=f"{value.name}_fine"
        )
        wide = WideBuilder(ctx, f"{value.name}").of_codes(codes, "wide")
        ctx.set_wide(value, wide)


def lower_last_quantizer(node: ir.Node, ctx: Context) -> None:
    """The codes that a quantized model gives: those of the tensor, with the sign that the model had."""
    value, output, scale = node.inputs[0], node.outputs[0], const_array(node.inputs[1])
    zero_point = const_array(node.inputs[2]) if len(node.inputs) > 2 else np.zeros((), np.uint8)
    assert value is not None and scale is not None and zero_point is not None
    int_type = INT8 if zero_point.dtype == np.int8 else UINT8
    wanted = QuantParams(scale.reshape(()), zero_point.reshape(()), int_type)
    signed = ctx.params(value).int_type.signed
    codes = ctx.codes_as(value, with_sign(wanted, signed))
    name = str(output.name)
    if signed == int_type.signed:
        dtype = ir.DataType.from_numpy(int_type.dtype)
        result = ctx.emit("Identity", [codes.value], output, dtype, name=f"{name}/output", output=f"{name}_output")
    else:
        result = _with_other_sign(ctx, codes.value, f"{name}_output", name)
    output.name, result.name = f"{name}_replaced", name
    ctx.borders[result] = wanted
    _replace_output(ctx.graph, output, result)


def lower_first_dequantizer(node: ir.Node, ctx: Context) -> None:
    """The codes that a quantized model takes, with the sign that the network's codes have."""
    value, output = node.inputs[0], node.outputs[0]
    scale, zero_point = const_array(node.inputs[1]), const_array(node.inputs[2])
    assert value is not None and scale is not None and zero_point is not None
    given = QuantParams(scale.reshape(()), zero_point.reshape(()), INT8 if zero_point.dtype == np.int8 else UINT8)
    ctx.borders[value] = given
    wanted = ctx.params(output)
    signed = wanted.int_type.signed
    codes = value if signed == given.int_type.signed else _with_other_sign(ctx, value, f"{output.name}_quantized")
    found = Codes(codes, with_sign(given, signed))
    ctx.set_codes(output, found if found.params == wanted else requantize(ctx, found, wanted, str(output.name), ctx.grid))


def float_reads(graph: ir.Graph, lowered: Collection[ir.Node]) -> Reads:
    """Who reads each value besides the nodes that become integer; nodes in subgraphs are among them."""
    values = [*graph.inputs, *(value for node in graph for value in node.outputs)]
    gone = set(lowered)
    return {value: [(use.node, use.idx) for use in value.uses() if use.node not in gone] for value in values}


def connect_float_readers(ctx: Context, reads: Reads, io: Io) -> None:
    """Puts a DequantizeLinear wherever something still reads the reals of lowered tensors; `io` decides about outputs."""
    for value, codes in list(ctx.lowered().items()):
        if ctx.has_reals(value):
            continue
        if value.is_graph_output() and io != "float":
            _replace_output(ctx.graph, value, _output_codes(ctx, value, codes, io))
        readers = reads.get(value, [])
        if readers or value.is_graph_output():
            real = _dequantize(ctx, value, codes)
            for node, index in readers:
                node.replace_input_with(index, real)
            _replace_output(ctx.graph, value, real)


def _dequantize(ctx: Context, value: ir.Value, codes: Codes) -> ir.Value:
    """The reals of `codes`, under the name of the float tensor they stand for unless a graph input has it."""
    name = str(value.name) if value.producer() is not None else ctx.names.fresh(f"{value.name}_float")
    result = ir.Value(name=name, type=ir.TensorType(ir.DataType.FLOAT), shape=value.shape)
    inputs = [codes.value, *ctx.scale_and_zero_point(codes.params, f"{name}_dequantize")]
    node = ir.Node("", "DequantizeLinear", inputs, outputs=[result], name=ctx.names.fresh_node(f"{name}/dequantize"))
    ctx.meanings[node] = Meaning(str(node.name), (str(value.name),), codes.params)
    maker = codes.value.producer()
    if maker is not None:
        ctx.graph.insert_after(maker, node)
    elif len(ctx.graph):
        ctx.graph.insert_before(ctx.graph[0], node)
    else:
        ctx.graph.append(node)
    return result


def _replace_output(graph: ir.Graph, old: ir.Value, new: ir.Value) -> None:
    for index, output in enumerate(graph.outputs):
        if output is old:
            graph.outputs[index] = new


def _output_codes(ctx: Context, value: ir.Value, codes: Codes, io: Io) -> ir.Value:
    """The codes as a graph output under the old name."""
    ctx.begin(None)
    name = str(value.name)
    if _signed(io) == codes.params.int_type.signed:
        dtype = ir.DataType.from_numpy(codes.params.int_type.dtype)
        result = ctx.emit("Identity", [codes.value], value, dtype, name=f"{name}/output", output=f"{name}_output")
    else:
        result = _with_other_sign(ctx, codes.value, f"{name}_output", name)
    value.name, result.name = f"{name}_replaced", name
    ctx.borders[result] = _at_border(codes.params, io)
    return result


def _at_border(params: QuantParams, io: Io) -> QuantParams:
    """The parameters of codes as a reader of an integer input or output sees them."""
    moved = 128 * (int(params.int_type.signed) - int(_signed(io)))
    return QuantParams(params.scale, params.zero_point.astype(np.int16) + moved, INT8 if _signed(io) else UINT8)


def _signed(io: Io) -> bool:
    return io == "int8"


def _with_other_sign(ctx: Context, value: ir.Value, output: str, name: str | None = None) -> ir.Value:
    """int8 codes plus 128 as uint8, or uint8 codes less 128 as int8: the highest bit flipped, and read as the other type."""
    name = str(value.name) if name is None else name
    signed = value.dtype is ir.DataType.UINT8
    mask = ctx.initializer(np.asarray(128, np.uint8), f"{name}_offset")

    def cast(codes: ir.Value, output: str, dtype: ir.DataType) -> ir.Value:
        step = "signed" if signed else "unsigned"
        return ctx.emit("Cast", [codes], codes, dtype, name=f"{name}/{step}", output=output, attributes={"to": int(dtype)})

    def flip(codes: ir.Value, output: str) -> ir.Value:
        return ctx.emit("BitwiseXor", [codes, mask], codes, ir.DataType.UINT8, name=f"{name}/flip", output=output)

    if signed:
        return cast(flip(value, f"{name}_flipped"), output, ir.DataType.INT8)
    return flip(cast(value, f"{name}_unsigned", ir.DataType.UINT8), output)
