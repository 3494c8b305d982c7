"""Functions of wide integers as tables (quant/index.py), and products of two wide integers, in int32."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.lower.context import Context
from qconv.lower.values import Wide
from qconv.lower.wide import WideBuilder
from qconv.model.evaluate import function_of
from qconv.ops.forms import scalar_factor
from qconv.quant.index import Doubles, middles, stretches

_FACTOR_BITS = 15  # of the factors of a product, which has 30


def lower_wide_product(node: ir.Node, ctx: Context) -> None:
    """y = a b, or a^2, in int32; by a positive constant scalar the integers stay and only their scale changes."""
    output, build = node.outputs[0], WideBuilder(ctx, str(node.name))
    square = node.op_type == "Pow" or node.inputs[0] is node.inputs[1]
    factor = None if square else scalar_factor(node)
    scaled = next((w for v in node.inputs if v is not None and (w := ctx.wide(v)) is not None), None)
    if factor is not None and scaled is not None:
        set_wide(node, ctx, build, replace(scaled, scale=scaled.scale * factor))
        return
    a, *others = (_factor(build, value, step) for value, step in zip(node.inputs[: 2 - square], "ab", strict=False) if value)
    b = others[0] if others else a
    value = build.emit("Mul", [a.value, b.value], output, "product")
    ends = [left * right for left in (a.low, a.high) for right in (b.low, b.high)]
    low = 0 if square else min(ends)
    set_wide(node, ctx, build, Wide(value, a.scale * b.scale, 0.0, low, max(ends)))


def lower_wide_clamp(node: ir.Node, ctx: Context, bounds: tuple[float, float]) -> None:
    """Wide integers between two bounds, each rounded to a whole one."""
    value, build = node.inputs[0], WideBuilder(ctx, str(node.name))
    assert value is not None
    x = build.centered(build.operand(value, "x"), "x_centered")
    low, high = (int(np.clip(np.rint(np.clip(end / x.scale, -(2.0**31), 2.0**31)), x.low, x.high)) for end in bounds)
    ends = [build.constant(low, "lowest"), build.constant(high, "highest")]
    clipped = build.emit("Clip", [x.value, *ends], node.outputs[0], "clamp")
    set_wide(node, ctx, build, replace(x, value=clipped, low=low, high=high))


def set_wide(node: ir.Node, ctx: Context, build: WideBuilder, wide: Wide) -> None:
    """Wide integers around zero for the output, and codes for those that read some; what nothing reads is removed in the end.

    They are cut off where the codes would be, so that all bits serve what occurs.
    """
    output = node.outputs[0]
    farthest = math.ceil(max(map(abs, ctx.params(output).ends)) / wide.scale) + 1
    wide = build.clipped(wide, farthest, "cut_off")
    ctx.set_wide(output, wide)
    ctx.set_codes(output, build.rescaled(wide, ctx.params(output), output))


def wide_index(node: ir.Node, ctx: Context, x: Wide, place: int) -> tuple[NDArray[np.float32], ir.Value]:
    """The table of a function of wide integers, and which of its entries each integer has."""
    value, y = node.inputs[place], ctx.params(node.outputs[0])
    assert value is not None
    build = WideBuilder(ctx, str(node.name))
    ends = [math.floor(ctx.params(value).ends[0] / x.scale + x.zero), math.ceil(ctx.params(value).ends[1] / x.scale + x.zero)]
    low, high = max(ends[0], x.low), min(ends[1], x.high)

    def codes(places: Doubles) -> Doubles:
        steps = function_of(node, place, (places + low - x.zero) * x.scale).astype(np.float64) / float(y.scale)
        return np.clip(steps, y.int_type.qmin - int(y.zero_point), y.int_type.qmax - int(y.zero_point))

    found = stretches(codes, max(high - low, 1))
    entries = function_of(node, place, (middles(found) + low - x.zero) * x.scale)
    bounds = [build.constant(low, "least"), build.constant(high, "most")]
    u = build.emit("Clip", [x.value, *bounds], value, "within")
    u = build.emit("Sub", [u, build.constant(low, "first")], value, "from_least") if low else u
    index: ir.Value | None = None
    for number, stretch in enumerate(found):
        part = u
        if len(found) > 1:
            ends_of = [build.constant(end, f"end_{number}") for end in (stretch.first, stretch.end)]
            part = build.emit("Clip", [u, *ends_of], value, f"part_{number}")
        if stretch.first:
            part = build.emit("Sub", [part, build.constant(stretch.first, f"begin_{number}")], value, f"from_{number}")
        if stretch.shift:
            part = build.over(part, 1 << stretch.shift, value, f"steps_{number}")
        index = part if index is None else build.emit("Add", [index, part], value, f"index_{number}")
    assert index is not None
    return entries, index


def _factor(build: WideBuilder, value: ir.Value, step: str) -> Wide:
    return build.within(build.centered(build.operand(value, step), f"{step}_centered"), (1 << _FACTOR_BITS) - 1, f"{step}_cut")
