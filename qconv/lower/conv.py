"""Conv -> QLinearConv, and AveragePool as a convolution."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import onnx_ir as ir

from qconv.lower.builder import MS, Attribute
from qconv.lower.context import Context
from qconv.lower.copies import with_copies
from qconv.lower.linear import Linear, certified_activations, quantize_linear
from qconv.lower.planes import lower_wide_conv
from qconv.lower.values import Codes
from qconv.model.graph import attr_int, attr_ints, const_array
from qconv.ops.forms import averages_whole_windows, summed_axes
from qconv.ops.kernel_order import conv_order, kernel_order
from qconv.quant.grids import power_of_two
from qconv.quant.types import INT8, QuantParams


def lower_conv(node: ir.Node, ctx: Context) -> None:
    """A convolution of any rank and grouping, with its bias."""
    if str(node.outputs[0].name) in ctx.plan.wide:
        lower_wide_conv(node, ctx)
        return
    x, y = ctx.codes(node.inputs[0]), ctx.params(node.outputs[0])
    weight, value = const_array(node.inputs[1]), node.inputs[1]
    assert value is not None
    if weight is None:
        _with_computed_weight(node, ctx, x, ctx.codes(value))
        return
    w, order = ctx.params(value), kernel_order(node, weight.shape)
    codes, bias, group = ctx.weight_codes(value), ctx.bias(node), attr_int(node, "group", 1)
    linear = quantize_linear(ctx.target, str(node.name), weight, bias, summed_axes(node), x.params, w, y, order, codes, ctx.grid)
    x, linear = with_copies(node, ctx, x, linear, (1, 1), partial(conv_order, group=group), group)
    attributes = {a.name: a for a in node.attributes.values()}
    ctx.set_codes(node.outputs[0], emit_conv(node, ctx, x, linear, y, str(value.name), attributes))


def _with_computed_weight(node: ir.Node, ctx: Context, x: Codes, weight: Codes) -> None:
    """Both operands are codes of one scale; unsigned ones, or signed ones, which no x86 adds in 16 bits."""
    output, sizes = node.outputs[0], weight.value.shape
    assert sizes is not None and node.inputs[1] is not None
    y = ctx.params(output)
    count = math.prod(int(str(size)) for size in sizes[1:])
    scale, multiplier, certificate = certified_activations(x.params, weight.params, y, count, ctx.grid)
    inputs = [
        x.value,
        *ctx.scale_and_zero_point(x.params, f"{node.name}_x", scale),
        weight.value,
        *ctx.scale_and_zero_point(weight.params, f"{node.name}_w"),
        *ctx.scale_and_zero_point(y, f"{node.name}_y"),
    ]
    attributes = {a.name: a for a in node.attributes.values()}
    codes = ctx.emit_codes(
        "QLinearConv", inputs, output, y, attributes=attributes, multiplier=[multiplier], certificate=certificate
    )
    ctx.set_codes(output, codes)


def lower_average_pool(node: ir.Node, ctx: Context) -> None:
    """Whole windows: a depthwise QLinearConv of ones with the scale 1 / size, 9 to 17 times faster than the pool kernel.

    Windows that leave padding out: QLinearAveragePool with both scales 1.0, where float32 sums of codes are exact.
    """
    y = ctx.params(node.outputs[0])
    if not averages_whole_windows(node):
        _pool_codes(node, ctx, ctx.codes_as(node.inputs[0], y))
        return
    kept = {a.name: a for a in node.attributes.values() if a.name in ("strides", "pads", "dilations")}
    emit_average(node, ctx, attr_ints(node, "kernel_shape", []), kept)


def emit_average(node: ir.Node, ctx: Context, kernel: Sequence[int], kept: Mapping[str, ir.Attr]) -> None:
    """A mean over windows as a depthwise convolution: ones with the scale 1 / size, or the nearest code of a power of two."""
    x, y = ctx.codes(node.inputs[0]), ctx.params(node.outputs[0])
    assert node.inputs[0] is not None and node.inputs[0].shape is not None
    channels = node.inputs[0].shape[1]
    assert isinstance(channels, int)
    share = 1.0 / math.prod(kernel)
    scale = power_of_two(share / INT8.qmax) if ctx.grid.powers else np.asarray(share, np.float32)
    weight = np.full((channels, 1, *kernel), np.float32(share))
    summed, params = tuple(range(1, weight.ndim)), QuantParams(scale, np.asarray(0), INT8)
    linear = quantize_linear(ctx.target, str(node.name), weight, None, summed, x.params, params, y, None, None, ctx.grid)
    attributes: dict[str, Attribute | ir.Attr] = {**kept, "kernel_shape": kernel, "group": channels}
    ctx.set_codes(node.outputs[0], emit_conv(node, ctx, x, linear, y, f"{node.name}_ones", attributes))


def emit_conv(
    node: ir.Node, ctx: Context, x: Codes, linear: Linear, y: QuantParams, weight_name: str,
    attributes: Mapping[str, Attribute | ir.Attr], step: str | None = None,
) -> Codes:  # fmt: skip
    """The QLinearConv of one linear layer; `step` names its codes when they are not yet those of the node's own output."""
    weight = ctx.initializer(linear.codes, f"{weight_name}_quantized")
    inputs: list[ir.Value | None] = [
        x.value,
        *ctx.scale_and_zero_point(x.params, f"{node.name}_x"),
        weight,
        *ctx.scale_and_zero_point(linear.params, weight_name),
        *ctx.scale_and_zero_point(y, f"{node.name}_y"),
    ]
    if linear.bias is not None:
        inputs.append(ctx.initializer(linear.bias, f"{node.name}_bias_quantized"))
    return ctx.emit_codes(
        "QLinearConv", inputs, node.outputs[0], y, output=step, final=step is None, attributes=attributes,
        multiplier=[linear.multiplier], certificate=linear.certificate,
    )  # fmt: skip


def _pool_codes(node: ir.Node, ctx: Context, x: Codes) -> None:
    output = node.outputs[0]
    one = np.asarray(1.0, np.float32)
    inputs = [
        x.value,
        *ctx.scale_and_zero_point(x.params, f"{node.name}_x", one),
        *ctx.scale_and_zero_point(x.params, f"{node.name}_y", one),
    ]
    attributes = {a.name: a for a in node.attributes.values() if a.name not in ("auto_pad", "dilations")}
    ctx.set_codes(output, ctx.emit_codes("QLinearAveragePool", inputs, output, x.params, domain=MS, attributes=attributes))
