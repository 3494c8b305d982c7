"""Ops that select or move values: the same op on codes."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from qconv.lower.context import MS, Codes, Context
from qconv.model.graph import const_array, is_float
from qconv.quant.certify import certify_one
from qconv.quant.fixedpoint import Multiplier
from qconv.quant.types import FloatArray


def lower_same(node: ir.Node, ctx: Context) -> None:
    """The op itself, on codes; float constants among its inputs (the value of a Pad) become codes too."""
    output = node.outputs[0]
    params = ctx.params(output)
    x = ctx.codes_as(node.inputs[0], params)
    others = [_as_code(node, ctx, v, x) for v in node.inputs[1:]]
    attributes = {a.name: a for a in node.attributes.values() if a.name != "auto_pad"}
    if len(node.outputs) == 1 or not node.outputs[1].uses():
        codes = ctx.emit_codes(node.op_type, [x.value, *others], output, params, attributes=attributes, clamp=False)
        ctx.set_codes(output, codes)
    else:
        for part, codes in zip(node.outputs, ctx.emit_split([x.value, *others], node.outputs, params, attributes), strict=True):
            ctx.set_codes(part, codes)


def _as_code(node: ir.Node, ctx: Context, value: ir.Value | None, x: Codes) -> ir.Value | None:
    array = const_array(value)
    if value is None or array is None or not is_float(value) or node.op_type != "Pad":
        return value
    return ctx.constant_codes(array, x.params, f"{value.name}_quantized").value


def lower_global_max_pool(node: ir.Node, ctx: Context) -> None:
    """The greatest code over all axes but the first two."""
    output, value = node.outputs[0], node.inputs[0]
    assert value is not None and value.shape is not None
    params = ctx.params(output)
    axes = ctx.initializer(np.arange(2, len(value.shape), dtype=np.int64), f"{node.name}_axes")
    x = ctx.codes_as(value, params)
    ctx.set_codes(output, ctx.emit_codes("ReduceMax", [x.value, axes], output, params, attributes={"keepdims": 1}, clamp=False))


def lower_global_average_pool(node: ir.Node, ctx: Context) -> None:
    """Sum and one rescaling by S_x / (S_y n); proved when the number n of averaged positions is known."""
    value, output = node.inputs[0], node.outputs[0]
    assert value is not None and value.shape is not None
    x, y = ctx.codes(value), ctx.params(output)
    sizes = [d for d in value.shape[2:] if isinstance(d, int)]
    scale, multiplier = x.params.scale, []
    if len(sizes) == len(value.shape) - 2:
        count = int(np.prod(sizes))

        def scale_of(s: FloatArray) -> FloatArray:
            return np.asarray(s / (y.scale * np.float32(count)), np.float32)

        zero_in, zero_out = int(x.params.zero_point), int(y.zero_point)
        scale, certificate = certify_one(scale, scale_of, -zero_out, 255 - zero_out, -zero_in * count, (255 - zero_in) * count)
        ctx.certificates[str(node.name)] = certificate
        multiplier = [Multiplier.of(scale_of(scale))]
    else:
        ctx.notes.append(f"{node.name}: the map's size is not known, so its rescaling is not proved equal to fixed point")
    inputs = [x.value, *ctx.scale_and_zero_point(x.params, f"{node.name}_x", scale), *ctx.scale_and_zero_point(y, f"{node.name}_y")]
    codes = ctx.emit_codes(
        "QLinearGlobalAveragePool", inputs, output, y, domain=MS, attributes={"channels_last": 0}, multiplier=multiplier
    )
    ctx.set_codes(output, codes)


def lower_host(node: ir.Node, ctx: Context) -> None:
    """Shape, Size, ArgMax, ArgMin: the node stays and reads codes, whose order and shape are those of the reals."""
    node.replace_input_with(0, ctx.codes(node.inputs[0]).value)
    ctx.keep(node)
