"""Attention over many tokens: exponentials, their product with the values, and the division last.

    e = round(255 exp(S (z - max z)))        y = (sum of e v) / (sum of e)

Probabilities of long rows are a few codes each; the exponentials use all of them.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from qconv.lower.context import Context
from qconv.lower.values import Codes, Wide
from qconv.lower.wide import WideBuilder
from qconv.ops.forms import row_size
from qconv.quant.types import UINT8, QuantParams

_INT32_BITS = 31
_PRODUCT_BITS = 16  # of an exponential and a value


def lower_exponentials(node: ir.Node, ctx: Context) -> None:
    """The exponentials of a Softmax along the last axis, as codes of 1 / 255 that are not divided yet."""
    value, output, name = node.inputs[0], node.outputs[0], str(node.name)
    x, build = ctx.codes(value), WideBuilder(ctx, name)
    assert output.shape is not None
    axes = ctx.initializer(np.asarray([-1], np.int64), f"{name}_axes")
    column = ir.Value(shape=ir.Shape([*output.shape[:-1], 1]))
    wide = build.of_codes(x, "wide")
    most = build.emit("ReduceMax", [wide.value, axes], column, "most", keepdims=1)
    below = build.emit("Sub", [most, wide.value], output, "below")
    flat = ir.Value(shape=ir.Shape([None]))
    every = ctx.initializer(np.asarray([-1], np.int64), f"{name}_flat")
    index = build.emit("Reshape", [below, every], flat, "flatten")
    table = np.rint(255.0 * np.exp(-np.arange(256) * float(x.params.scale))).astype(np.uint8)
    entries = ctx.initializer(table, f"{name}_exponentials")
    found = build.emit("GatherElements", [entries, index], flat, "lookup", ir.DataType.UINT8, axis=0)
    exponentials = build.emit("Reshape", [found, ctx.shape_of(output, x.value, name)], output, "exponentials", ir.DataType.UINT8)
    scale = np.asarray(1.0 / 255.0, np.float32)
    ctx.set_codes(output, Codes(exponentials, QuantParams(scale, np.asarray(0), UINT8)))


def lower_weighted_mean(node: ir.Node, ctx: Context) -> None:
    """The mean of values, weighted by exponentials: as many bits behind the point as int32 has room for."""
    output, build = node.outputs[0], WideBuilder(ctx, str(node.name))
    exponentials, values = ctx.codes(node.inputs[0]), ctx.codes(node.inputs[1])
    size = row_size(node)
    assert size is not None and output.shape is not None
    bits = _INT32_BITS - _PRODUCT_BITS - size.bit_length()
    like, column = exponentials.value, ir.Value(shape=ir.Shape([*output.shape[:-1], 1]))
    zero_points = [
        ctx.initializer(codes.params.zero_point.reshape(()), f"{node.name}_zero_point") for codes in (exponentials, values)
    ]
    products = build.emit("MatMulInteger", [exponentials.value, values.value, *zero_points], output, "products")
    fine = build.emit("Mul", [products, build.constant(1 << bits, "fine")], output, "finer")
    axes = ctx.initializer(np.asarray([-1], np.int64), f"{node.name}_axes")
    wide = build.emit("Cast", [exponentials.value], like, "weights", to=int(ir.DataType.INT32))
    total = build.emit("ReduceSum", [wide, axes], column, "total", keepdims=1)
    mean = build.emit("Div", [fine, total], output, "mean")
    reach = 256 << bits
    found = Wide(mean, float(values.params.scale) / (1 << bits), 0.0, -reach, reach)
    ctx.set_codes(output, build.rescaled(found, ctx.params(output), output))
