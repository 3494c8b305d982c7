"""Ops that select or move values: the same op on codes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir

from qconv.lower.builder import MS
from qconv.lower.context import Context
from qconv.lower.conv import emit_average
from qconv.lower.reductions import reduce_wide
from qconv.lower.values import Codes
from qconv.lower.wide import WideBuilder
from qconv.model.graph import attr_str, const_array
from qconv.quant.certify import Certificate
from qconv.quant.fixedpoint import ACC_LIMIT, Multiplier
from qconv.quant.mean import certified_mean, mean_factor


def lower_same(node: ir.Node, ctx: Context) -> None:
    """The op itself, on codes, or on wide integers; their codes too on the way to a steep function, as others may read those."""
    value, output = node.inputs[0], node.outputs[0]
    wide = None if value is None or str(output.name) not in ctx.plan.wide else ctx.wide(value)
    if wide is not None:
        attributes = {a.name: a for a in node.attributes.values()}
        moved = ctx.emit(
            node.op_type, [wide.value, *node.inputs[1:]], output, ir.DataType.INT32,
            name=str(node.name), output=f"{output.name}_wide", attributes=attributes,
        )  # fmt: skip
        wide = replace(wide, value=moved)
        ctx.set_wide(output, wide)
        if node.name in ctx.plan.steep:
            ctx.set_codes(output, WideBuilder(ctx, str(node.name)).rescaled(wide, ctx.params(output), output))
        return
    _on_codes(node, ctx, list(node.inputs[1:]))


def lower_pad(node: ir.Node, ctx: Context) -> None:
    """Pad with the code of the value; without a value, with the code of zero, which is the zero point."""
    others = [*node.inputs[1:], None, None][:3]
    if attr_str(node, "mode", "constant") == "constant":
        array = const_array(others[1])
        value = np.zeros((), np.float32) if array is None else array.reshape(())
        others[1] = ctx.constant_codes(value, ctx.params(node.outputs[0]), f"{node.name}_value").value
    else:
        others[1] = None  # a value of float type, which these modes do not read
    while others[-1] is None:
        others.pop()
    _on_codes(node, ctx, others)


def _on_codes(node: ir.Node, ctx: Context, others: list[ir.Value | None]) -> None:
    output = node.outputs[0]
    params = ctx.params(output)
    x = ctx.codes_as(node.inputs[0], params)
    attributes = {a.name: a for a in node.attributes.values()}
    if node.op_type != "Split":
        ctx.set_codes(
            output, ctx.emit_codes(node.op_type, [x.value, *others], output, params, attributes=attributes, clamp=False)
        )
        return
    for part, codes in zip(node.outputs, ctx.emit_split([x.value, *others], node.outputs, params, attributes), strict=True):
        ctx.set_codes(part, codes)


def lower_max_pool(node: ir.Node, ctx: Context) -> None:
    """MaxPool on codes; of equal codes the first one's index counts."""
    if not _is_read(node, 1):
        lower_same(node, ctx)
        return
    output = node.outputs[0]
    params = ctx.params(output)
    x, attributes = ctx.codes_as(node.inputs[0], params), {a.name: a for a in node.attributes.values()}
    ctx.set_codes(output, Codes(ctx.emit_indexed("MaxPool", [x.value], node, x.value.dtype, params, attributes), params))


def lower_top_k(node: ir.Node, ctx: Context) -> None:
    """TopK in int32, which it has a kernel for; of equal codes the first ones come first."""
    value, output = node.inputs[0], node.outputs[0]
    params, build = ctx.params(output), WideBuilder(ctx, str(node.name))
    attributes = {a.name: a for a in node.attributes.values() if a.name != "sorted"}
    wide = build.of_codes(ctx.codes_as(value, params), "wide")
    best = ctx.emit_indexed("TopK", [wide.value, *node.inputs[1:]], node, ir.DataType.INT32, params, attributes)
    dtype = ir.DataType.from_numpy(params.int_type.dtype)
    ctx.set_codes(output, ctx.emit_codes("Cast", [best], output, params, attributes={"to": int(dtype)}, clamp=False))


def _is_read(node: ir.Node, index: int) -> bool:
    """Whether a node has an output of this index that something reads."""
    output = node.outputs[index] if index < len(node.outputs) else None
    return output is not None and (bool(output.uses()) or output.is_graph_output())


def lower_global_max_pool(node: ir.Node, ctx: Context) -> None:
    """The greatest code over all axes but the first two."""
    output, value = node.outputs[0], node.inputs[0]
    assert value is not None and value.shape is not None
    params = ctx.params(output)
    axes = ctx.initializer(np.arange(2, len(value.shape), dtype=np.int64), f"{node.name}_axes")
    x = ctx.codes_as(value, params)
    ctx.set_codes(output, ctx.emit_codes("ReduceMax", [x.value, axes], output, params, attributes={"keepdims": 1}, clamp=False))


def lower_global_average_pool(node: ir.Node, ctx: Context) -> None:
    """Sum and one rescaling by S_x / (S_y n); proved when the number n of averaged positions is known.

    Where multipliers are to be powers of two, 1 / n becomes the weight of a convolution.
    """
    value, output = node.inputs[0], node.outputs[0]
    assert value is not None and value.shape is not None
    if str(node.name) in ctx.plan.steep:
        reduce_wide(node, ctx, value)
        return
    x, y = ctx.codes(value), ctx.params(output)
    sizes = [d for d in value.shape[2:] if isinstance(d, int)]
    if ctx.grid.powers and len(sizes) == len(value.shape) - 2 and isinstance(value.shape[1], int):
        emit_average(node, ctx, sizes, {})
        return
    scale, multiplier, certificate = x.params.scale, [], None
    if len(sizes) == len(value.shape) - 2:
        count = int(np.prod(sizes))
        scale, certificate = certified_mean(x.params, y, count, ctx.grid)
        multiplier = [Multiplier.of(mean_factor(scale, y, count))]
    else:
        why = "the size of its map is not known, so that neither its multiplier nor its sums are; export it with a fixed size"
        certificate = Certificate(1, 0, 0, 0, -ACC_LIMIT, ACC_LIMIT - 1, why)
    inputs = [
        x.value,
        *ctx.scale_and_zero_point(x.params, f"{node.name}_x", scale),
        *ctx.scale_and_zero_point(y, f"{node.name}_y"),
    ]
    codes = ctx.emit_codes(
        "QLinearGlobalAveragePool", inputs, output, y, domain=MS, attributes={"channels_last": 0}, multiplier=multiplier,
        certificate=certificate,
    )  # fmt: skip
    ctx.set_codes(output, codes)


def lower_host(node: ir.Node, ctx: Context) -> None:
    """Shape, Size, ArgMax, ArgMin: the node stays and reads codes, whose order and shape are those of the reals."""
    node.replace_input_with(0, ctx.codes(node.inputs[0]).value)
    ctx.keep(node)
