"""Scales that a kernel of onnxruntime does not bear: a node that would get them stays in float.

QLinearAdd and QLinearMul convert their float32 result to int32 before they clamp it. From 2^31 on the conversion gives the
lowest int32, and so code 0 where the highest is right; below -2^31 the same value is right. QLinearGlobalAveragePool throws
unless 2^-32 <= S_x / (S_y n) < 256, where n values are averaged.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import onnx_ir as ir

from qconv.ops.forms import scalar_factor
from qconv.ops.op_table import hard_sigmoid_params
from qconv.quant.types import QuantParams

_INT32 = 2.0**31 * (1.0 - 2.0**-16)  # less than the roundings of three float32 operations
_WIDE = (
    "its inputs reach so far beyond its calibrated output that values pass 2^31 steps of it, which onnxruntime's kernel turns "
    "into the lowest code; calibrate with samples that show its whole range"
)
_AVERAGE = (
    "its input and output scales differ more than onnxruntime's QLinearGlobalAveragePool allows; calibrate with samples that "
    "show its whole range"
)


def beyond_kernels(nodes: Iterable[ir.Node], tensors: Mapping[str, QuantParams]) -> dict[str, str]:
    """Node -> the reason, for integer nodes whose scales under a plan are beyond their kernel. `tensors` has all parameters."""
    reasons: dict[str, str] = {}
    for node in nodes:
        if node.op_type == "GlobalAveragePool":
            if not _averages(node, tensors):
                reasons[str(node.name)] = _AVERAGE
        elif _largest(node, tensors) >= _INT32:
            reasons[str(node.name)] = _WIDE
    return reasons


def _largest(node: ir.Node, tensors: Mapping[str, QuantParams]) -> float:
    """The greatest output in steps of its scale before it is clamped; 0 where a kernel clamps in float."""
    match node.op_type:
        case "Mul" if scalar_factor(node) is None:
            a, b, y = (tensors[str(value.name)] for value in (*node.inputs, node.outputs[0]) if value is not None)
            product = max(left * right for left in a.ends for right in b.ends)
        case "HardSwish":
            x, y = (tensors[str(value.name)] for value in (node.inputs[0], node.outputs[0]) if value is not None)
            product = x.ends[1] * hard_sigmoid_params(0.5, x.int_type).ends[1]
        case "Add" | "Sub":
            a, b, y = (tensors[str(value.name)] for value in (*node.inputs, node.outputs[0]) if value is not None)
            product = a.ends[1] + (b.ends[1] if node.op_type == "Add" else -b.ends[0])
        case _:
            return 0.0
    return product / float(y.scale) + int(y.zero_point)


def _averages(node: ir.Node, tensors: Mapping[str, QuantParams]) -> bool:
    value = node.inputs[0]
    assert value is not None and value.shape is not None
    sizes = list(value.shape[2:])
    ratio = float(tensors[str(value.name)].scale) / float(tensors[str(node.outputs[0].name)].scale)
    if all(isinstance(size, int) for size in sizes):
        ratio /= max(1, math.prod(size for size in sizes if isinstance(size, int)))
    return 2.0**-32 <= ratio < 256.0
