"""QGemm, and QLinearMatMul with a scale for each column: MatMulInteger, whose sums are rescaled in int32."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from qconv.integer.language.operands import layout_of
from qconv.lower.context import Context
from qconv.lower.standard.operands import reads_of, written_by
from qconv.lower.standard.rescale import rescaled
from qconv.lower.wide import WideBuilder
from qconv.model.graph import attr_int, const_array
from qconv.quant.params import accumulator_bounds


def write_matrix_product(node: ir.Node, ctx: Context) -> ir.Value:
    """x W + b with a constant matrix W of zero point 0."""
    (x, w), y, build, output = reads_of(node), written_by(node), WideBuilder(ctx, str(node.name)), node.outputs[0]
    codes, layout = const_array(w.value), layout_of(node)
    assert codes is not None and layout is not None
    matrix = np.ascontiguousarray(codes.T) if attr_int(node, "transB", 0) else codes
    bias_at = layout.bias
    bias = None if bias_at is None or node.inputs[bias_at] is None else const_array(node.inputs[bias_at])
    lows, highs = accumulator_bounds(matrix, (matrix.ndim - 2,), bias, x.params)
    zero_point = ctx.initializer(x.params.zero_point.astype(x.params.int_type.dtype).reshape(()), f"{node.name}_x_zero_point")
    inputs = [x.value, ctx.initializer(matrix, f"{node.name}_weight"), zero_point]
    sums = build.emit("MatMulInteger", inputs, output, "sums")
    if bias is not None:
        sums = build.emit("Add", [sums, build.constant(bias, "bias")], output, "biased")
    multiplier = float(x.params.scale) * w.params.scale.astype(np.float64) / float(y.scale)
    if matrix.ndim > 2:  # a matrix for each of several rows
        lows, highs = np.asarray(lows.min()), np.asarray(highs.max())
    return rescaled(build, sums, (lows, highs), np.broadcast_to(multiplier, lows.shape), y, output)
