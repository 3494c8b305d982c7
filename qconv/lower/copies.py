"""Input channels that a layer reads several times, so that its kernel takes codes that were given (quant/copies.py)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from qconv.lower.context import Context
from qconv.lower.linear import Linear
from qconv.lower.values import Codes
from qconv.plan.remark import Remark
from qconv.quant.copies import fits_int8, over_copies
from qconv.quant.saturation import KernelOrder, unsafe_pairs
from qconv.quant.types import IntArray

OrderOf = Callable[[tuple[int, ...]], KernelOrder | None]


def with_copies(
    node: ir.Node, ctx: Context, x: Codes, linear: Linear, axes: tuple[int, int], order_of: OrderOf, group: int = 1
) -> tuple[Codes, Linear]:
    """The operands of a layer as its kernel takes them: as they are, or the codes of the weight over copies of channels.

    `axes` are those of the input channels, in `x` and in the weight; `order_of` is the order of the kernel for a shape.
    """

    def is_safe(codes: IntArray) -> bool:
        order = order_of(codes.shape) if ctx.target.arithmetic.adds_pairs_in_int16 else None
        return order is None or not unsafe_pairs(order.rows(codes)).any()

    codes = linear.codes
    if fits_int8(codes) and is_safe(codes):
        return x, linear
    copies = over_copies(codes, axes[1], is_safe)
    ctx.notes.append(Remark(str(node.name), _sentence(codes, copies.strides)))
    return _copied(node, ctx, x, axes[0], codes.shape[axes[1]], copies.strides, group), replace(linear, codes=copies.codes)


def _sentence(codes: IntArray, strides: Sequence[int]) -> str:
    """What is told of copies."""
    times = "every second input channel is read twice" if 2 in strides else f"its input is read {len(strides)} times"
    if fits_int8(codes):
        return f"{times}, which keeps weight codes that saturate with AVX2 and without VNNI; --target x86-vnni needs no copies"
    return f"{times}, which keeps weight codes that are beyond int8 less their zero point"


def _copied(node: ir.Node, ctx: Context, x: Codes, axis: int, channels: int, strides: Sequence[int], group: int) -> Codes:
    """The input with its channels at each of the strides; those of a group stay together."""
    total = sum(len(range(0, channels, stride)) for stride in strides)
    name, output = f"{node.name}/copies", f"{node.name}_copies"
    if group > 1:
        own = np.concatenate([np.arange(0, channels, stride) for stride in strides])
        index = ctx.initializer((np.arange(group)[:, None] * channels + own).reshape(-1), f"{output}_index")
        like = _like(x.value, axis, total * group)
        return ctx.emit_codes(
            "Gather", [x.value, index], like, x.params, name=name, output=output, final=False, clamp=False,
            attributes={"axis": axis},
        )  # fmt: skip
    parts = [x.value if stride == 1 else _strided(node, ctx, x, axis, channels, stride) for stride in strides]
    like = _like(x.value, axis, total)
    return ctx.emit_codes(
        "Concat", parts, like, x.params, name=name, output=output, final=False, attributes={"axis": axis}, clamp=False
    )  # fmt: skip


def _strided(node: ir.Node, ctx: Context, x: Codes, axis: int, channels: int, stride: int) -> ir.Value:
    wish = f"{node.name}_every_{stride}"
    bounds = [
        ctx.initializer(np.asarray([number], np.int64), f"{wish}_{what}")
        for what, number in (("start", 0), ("end", channels), ("axis", axis), ("step", stride))
    ]
    like = _like(x.value, axis, len(range(0, channels, stride)))
    return ctx.emit_codes(
        "Slice", [x.value, *bounds], like, x.params, name=f"{node.name}/every_{stride}", output=wish, final=False, clamp=False
    ).value  # fmt: skip


def _like(value: ir.Value, axis: int, size: int) -> ir.Value:
    """A stand-in for a tensor of that shape with another number of channels."""
    if value.shape is None:
        return ir.Value()
    sizes = list(value.shape)
    sizes[axis] = size
    return ir.Value(shape=ir.Shape(sizes))
