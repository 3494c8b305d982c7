"""Matrices and convolutions of wide integers, in planes of 7 bits: x = x_0 + 2^7 x_1 + 2^14 x_2, and so

    W x = W x_0 + 2^7 W x_1 + 2^14 W x_2

with three products of 8-bit integers. A channel of W whose weights are 2^k times smaller has codes 2^k times finer, and its sums
are divided by 2^k. The planes have as many bits as let no sum leave int32. A convolution is such a product of its windows.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.lower.context import Context
from qconv.lower.steep import set_wide
from qconv.lower.values import Wide
from qconv.lower.wide import WideBuilder
from qconv.model.graph import attr_int, const_array
from qconv.ops.wide_forms import window_places

_PLANE_BITS = 7
_MOST_BITS = 21
_LARGEST_CODE = 127
_FINEST = 20  # powers of two between channels
_INT32 = 2**31


def lower_planes(node: ir.Node, ctx: Context) -> None:
    """W x or x W, with a constant matrix W, of wide integers x."""
    output, build = node.outputs[0], WideBuilder(ctx, str(node.name))
    first = const_array(node.inputs[0]) is not None
    weight, value = const_array(node.inputs[0 if first else 1]), node.inputs[1 if first else 0]
    assert weight is not None and value is not None
    matrix = weight.T if attr_int(node, "transB", 0) else weight
    found = _multiplied(build, build.operand(value, "x"), matrix, output, matrix_first=first)
    set_wide(node, ctx, build, _with_bias(build, found, ctx.bias(node) if len(node.inputs) > 2 else None, output))


def lower_wide_conv(node: ir.Node, ctx: Context) -> None:
    """The windows of wide integers as rows, times the kernel as a matrix."""
    output, value, weight = node.outputs[0], node.inputs[0], const_array(node.inputs[1])
    assert value is not None and value.shape is not None and weight is not None and output.shape is not None
    build = WideBuilder(ctx, str(node.name))
    x = build.centered(build.operand(value, "x"), "x_centered")
    batch, (channels, *sizes) = value.shape[0], map(int, map(str, value.shape[1:]))
    pads, places = window_places(node, sizes)
    if any(pads):
        rank = len(sizes)
        around = build.ctx.initializer(np.asarray([0, 0, *pads[:rank], 0, 0, *pads[rank:]], np.int64), f"{node.name}_pads")
        sizes = [size + pads[i] + pads[i + rank] for i, size in enumerate(sizes)]
        padded = build.emit("Pad", [x.value, around, build.constant(0, "padding")], _shaped(batch, channels, *sizes), "padded")
        x = replace(x, value=padded, low=min(x.low, 0), high=max(x.high, 0))
    positions, taps = places.shape
    flat = _reshaped(build, x.value, (0, channels, math.prod(sizes)), "flat", batch)
    windows = build.emit(
        "Gather", [flat, build.ctx.initializer(places, f"{node.name}_places")], _shaped(batch, channels, positions, taps),
        "windows", axis=2,
    )  # fmt: skip
    turned = _turned(build, windows, (0, 2, 1, 3), _shaped(batch, positions, channels, taps), "by_position")
    rows = _reshaped(build, turned, (0, positions, channels * taps), "rows", batch)
    matrix, like = weight.reshape(len(weight), -1).T, _shaped(batch, positions, len(weight))
    found = _with_bias(build, _multiplied(build, replace(x, value=rows), matrix, like), ctx.bias(node), like)
    back = _turned(build, found.value, (0, 2, 1), _shaped(batch, len(weight), positions), "by_channel")
    shape = tuple(int(str(size)) for size in output.shape[2:])
    set_wide(node, ctx, build, replace(found, value=_reshaped(build, back, (0, len(weight), *shape), "in_place", batch)))


def _multiplied(build: WideBuilder, x: Wide, matrix: NDArray[np.floating], like: ir.Value, *, matrix_first: bool = False) -> Wide:
    summed = -1 if matrix_first else 0
    codes, shifts, scale = _codes_of(matrix, summed)
    heaviest = max(int(np.abs(codes.astype(np.int64)).sum(summed).max(initial=1)), 1)
    bits = min(_MOST_BITS, int(math.log2((_INT32 - 1) / heaviest)))
    x = build.within(build.centered(x, "x_around_zero"), (1 << bits) - 1, "x_shift")
    constant = build.ctx.initializer(codes, f"{build.place}_matrix")
    total: ir.Value | None = None
    for number, plane in enumerate(_planes(build, x, bits)):
        operands = [constant, plane] if matrix_first else [plane, constant]
        sums = build.emit("MatMulInteger", operands, like, f"sums_{number}")
        if number:
            place = build.constant(1 << (_PLANE_BITS * number), f"place_{number}")
            sums = build.emit("Mul", [sums, place], like, f"at_{number}")
        total = sums if total is None else build.emit("Add", [total, sums], like, f"total_{number}")
    assert total is not None
    if shifts.any():
        total = build.emit("Div", [total, build.constant(1 << shifts, "powers")], like, "shifted")
    return Wide(total, x.scale * scale, 0.0, -x.largest * heaviest, x.largest * heaviest)


def _with_bias(build: WideBuilder, x: Wide, bias: NDArray[np.floating] | None, like: ir.Value) -> Wide:
    if bias is None:
        return x
    largest = float(np.abs(bias).max(initial=0.0))
    x = build.within(x, _INT32 // 4, "room")
    x = build.shifted(x, max(0, math.ceil(math.log2(max(largest, 1e-30) / x.scale / (_INT32 // 4)))), "room_for_bias")
    steps = np.rint(bias / x.scale).astype(np.int64)
    value = build.emit("Add", [x.value, build.constant(steps, "bias")], like, "with_bias")
    return replace(x, value=value, low=x.low + int(steps.min(initial=0)), high=x.high + int(steps.max(initial=0)))


def _planes(build: WideBuilder, x: Wide, bits: int) -> list[ir.Value]:
    """Seven bits each, the lowest first, as int8; all have the sign of x, or the last one has it."""
    rest, found = x.value, list[ir.Value]()
    while bits > _PLANE_BITS:
        step = f"plane_{len(found)}"
        upper = build.over(rest, 1 << _PLANE_BITS, x.value, f"{step}_above")
        whole = build.emit("Mul", [upper, build.constant(1 << _PLANE_BITS, f"{step}_size")], x.value, f"{step}_whole")
        found.append(build.emit("Sub", [rest, whole], x.value, step))
        rest, bits = upper, bits - _PLANE_BITS
    to = ir.DataType.INT8
    return [build.emit("Cast", [v], x.value, f"plane_{n}_codes", to, to=int(to)) for n, v in enumerate([*found, rest])]


def _codes_of(matrix: NDArray[np.floating], summed: int) -> tuple[NDArray[np.int8], NDArray[np.int64], float]:
    """Codes of a matrix, the scale of the coarsest channel, and by which power of two each is finer."""
    largest = np.abs(matrix.astype(np.float64)).max(summed, keepdims=True, initial=0.0)
    most = max(float(largest.max(initial=0.0)), 1e-30)
    shifts = np.floor(np.log2(most / np.where(largest > 0, largest, most))).astype(np.int64).clip(0, _FINEST)
    scale = most / _LARGEST_CODE
    codes = np.rint(matrix / (scale / 2.0**shifts)).clip(-_LARGEST_CODE, _LARGEST_CODE)
    return codes.astype(np.int8), shifts, scale


def _shaped(*sizes: int | ir.SymbolicDim) -> ir.Value:
    return ir.Value(shape=ir.Shape(sizes))


def _reshaped(build: WideBuilder, value: ir.Value, sizes: tuple[int, ...], step: str, batch: int | ir.SymbolicDim) -> ir.Value:
    """The elements in another shape, whose first size stays."""
    target = build.ctx.initializer(np.asarray(sizes, np.int64), f"{build.place}_{step}_shape")
    return build.emit("Reshape", [value, target], _shaped(batch, *sizes[1:]), step)


def _turned(build: WideBuilder, value: ir.Value, perm: tuple[int, ...], like: ir.Value, step: str) -> ir.Value:
    return build.ctx.emit(
        "Transpose", [value], like, ir.DataType.INT32,
        name=f"{build.place}/{step}", output=f"{build.place}/{step}", attributes={"perm": perm},
    )  # fmt: skip
