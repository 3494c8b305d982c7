"""Average pools in int32.

global      sum over the map, rescaled by S_x / (S_y n)
windowed    round(s (floor(2^22 / n) + 1) / 2^22): s the sum of the codes of a window, n how many of them count
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from qconv.errors import ArtifactError
from qconv.lower.builder import Attribute
from qconv.lower.context import Context
from qconv.lower.standard.operands import reads_of, written_by
from qconv.lower.standard.rescale import rescaled, to_codes
from qconv.lower.wide import WideBuilder
from qconv.quant.types import QuantParams

_INVERSE_BITS = 22


def write_global_average(node: ir.Node, ctx: Context) -> ir.Value:
    """A map of unknown size has a mean in 7 more bits instead of a sum."""
    (x,), y, build, output = reads_of(node), written_by(node), WideBuilder(ctx, str(node.name)), node.outputs[0]
    assert x.value.shape is not None
    wide, zero = build.of_codes(x, "wide"), int(x.params.zero_point)
    axes = ctx.initializer(np.arange(2, len(x.value.shape)), f"{node.name}_axes")
    sizes = [size for size in x.value.shape[2:] if isinstance(size, int)]
    known = len(sizes) == len(x.value.shape) - 2
    row = build.emit("Sub", [wide.value, build.constant(zero, "zero")], x.value, "centered") if zero else wide.value
    if not known:
        row = build.emit("Mul", [row, build.constant(128, "fine")], x.value, "finer")
    total = build.emit("ReduceSum" if known else "ReduceMean", [row, axes], output, "total", keepdims=1)
    count, times = (math.prod(sizes), 1.0 / math.prod(sizes)) if known else (128, 1.0 / 128)
    multiplier = np.asarray(float(x.params.scale) / float(y.scale) * times)
    ends = np.asarray(count * (wide.low - zero)), np.asarray(count * (wide.high - zero))
    return rescaled(build, total, ends, multiplier, y, output)


def write_average(node: ir.Node, ctx: Context) -> ir.Value:
    """Both scales are equal: the mean of codes is a code. Padding counts as zeros, or not at all."""
    (x,), build, output = reads_of(node), WideBuilder(ctx, str(node.name)), node.outputs[0]
    kernel, like = node.attributes.get_ints("kernel_shape"), ir.Value(shape=output.shape)
    whole, zero = bool(node.attributes.get_int("count_include_pad", 0)), int(x.params.zero_point)
    sums = _window_sums(node, build, x.value, "sums", zero if whole else 0)
    if whole:
        upward = build.constant((1 << _INVERSE_BITS) // math.prod(kernel) + 1, "inverse")
        sums = build.emit("Add", [sums, build.constant(zero * math.prod(kernel), "zero")], like, "from_zero")
    else:
        bounds = [ctx.initializer(np.asarray(1, np.uint8), f"{node.name}_one") for _ in range(2)]
        ones = build.emit("Clip", [x.value, *bounds], x.value, "ones", ir.DataType.UINT8)
        inverse = build.quotient(1 << _INVERSE_BITS, _window_sums(node, build, ones, "count", 0), like, "inverse")
        upward = build.emit("Add", [inverse, build.constant(1, "one")], like, "upward")
    mean = build.emit("Mul", [sums, upward], like, "mean")
    return to_codes(build, mean, _INVERSE_BITS, QuantParams(x.params.scale, np.asarray(0), x.params.int_type), output)


def _window_sums(node: ir.Node, build: WideBuilder, x: ir.Value, step: str, zero: int) -> ir.Value:
    """The sums of codes less `zero` over the windows of a pool, by a convolution with ones."""
    shape = x.shape
    assert shape is not None and isinstance(shape[1], int)
    kernel = node.attributes.get_ints("kernel_shape")
    ones = build.ctx.initializer(np.ones((shape[1], 1, *kernel), np.int8), f"{node.name}_{step}_ones")
    zero_point = build.ctx.initializer(np.asarray(zero, np.uint8), f"{node.name}_{step}_zero_point")
    attributes: dict[str, Attribute] = {
        "group": shape[1], "kernel_shape": kernel, "strides": _strides(node), "pads": _pads(node)
    }  # fmt: skip
    return build.ctx.emit(
        "ConvInteger", [x, ones, zero_point], node.outputs[0], ir.DataType.INT32,
        name=f"{build.place}/{step}", output=f"{build.place}/{step}", attributes=attributes,
    )  # fmt: skip


def _strides(node: ir.Node) -> list[int]:
    return list(node.attributes.get_ints("strides", [1] * len(node.attributes.get_ints("kernel_shape"))))


def _pads(node: ir.Node) -> list[int]:
    """The padding of a pool; in ceil_mode as much more at the ends as the last windows need."""
    kernel, x, y = node.attributes.get_ints("kernel_shape"), node.inputs[0], node.outputs[0]
    rank = len(kernel)
    pads = list(node.attributes.get_ints("pads", [0] * 2 * rank))
    if not node.attributes.get_int("ceil_mode", 0):
        return pads
    sizes = [] if x is None or x.shape is None or y.shape is None else [*x.shape[2:], *y.shape[2:]]
    before = [size for size in sizes if isinstance(size, int)]
    if len(before) != 2 * rank:
        raise ArtifactError(
            f"AveragePool {node.name} rounds a size up that is not known, for which ai.onnx has no form; export the model with "
            "a fixed size"
        )
    for axis, stride in enumerate(_strides(node)):
        needed = (before[rank + axis] - 1) * stride + kernel[axis] - before[axis] - pads[axis]
        pads[rank + axis] = max(pads[rank + axis], needed)
    return pads
