"""Scales that a kernel of onnxruntime does not bear: a node that would get them stays in float.

QLinearAdd and QLinearMul convert their float32 result to int32 before they clamp it. From 2^31 on the conversion gives the
lowest int32, and so code 0 where the highest is right; below -2^31 the same value is right. QLinearGlobalAveragePool throws
unless 2^-32 <= S_x / (S_y n) < 256, where n values are averaged. QLinearSoftmax multiplies by floor(1 / S_y).
QLinearAdd adds S_a a / S_y, S_b b / S_y and a constant in float32, which are exact enough only where none of them is huge.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from qconv.ops.forms import scalar_factor, signs_of_sum
from qconv.ops.scale_rules import hard_sigmoid_params
from qconv.quant.types import QuantParams

_INT32 = 2.0**31 * (1.0 - 2.0**-16)  # less than the roundings of three float32 operations
_WIDE = (
    "its inputs reach so far beyond its calibrated output that values pass 2^31 steps of it, which onnxruntime's kernel turns "
    "into the lowest code; calibrate with samples that show its whole range"
)
_CANCELS = (
    "one step of an input is more than the whole calibrated range of its output, as where two large values cancel, so that 8 "
    "bits would tell nothing; let the network compute the difference in another way, or leave it in float"
)
_AVERAGE = (
    "its input and output scales differ more than onnxruntime's QLinearGlobalAveragePool allows; calibrate with samples that "
    "show its whole range"
)
_SOFTMAX = "onnxruntime's QLinearSoftmax takes the lowest code as zero point and one over a whole number as scale"


def limit_of_sum(node: ir.Node, tensors: Mapping[str, QuantParams]) -> str | None:
    """The limit of Add, and of Sub, whose second operand is negated."""
    a, b, y = _params(node, tensors)
    sign = signs_of_sum(node)[1]
    if max(float(a.scale), float(b.scale)) > float(y.scale) * (y.int_type.qmax - y.int_type.qmin + 1):
        return _CANCELS
    return _wide(a.ends[1] + max(sign * end for end in b.ends), y)


def limit_of_product(node: ir.Node, tensors: Mapping[str, QuantParams]) -> str | None:
    """The limit of Mul, unless it only changes a scale."""
    if scalar_factor(node) is not None:
        return None
    a, b, y = _params(node, tensors)
    return _wide(max(left * right for left in a.ends for right in b.ends), y)


def limit_of_hard_swish(node: ir.Node, tensors: Mapping[str, QuantParams]) -> str | None:
    """The limit of HardSwish: that of the product of x and its gate."""
    x, y = _params(node, tensors)
    return _wide(x.ends[1] * hard_sigmoid_params(0.5, x.int_type).ends[1], y)


def limit_of_average(node: ir.Node, tensors: Mapping[str, QuantParams]) -> str | None:
    """The limit of GlobalAveragePool."""
    value = node.inputs[0]
    assert value is not None and value.shape is not None
    sizes = list(value.shape[2:])
    ratio = float(tensors[str(value.name)].scale) / float(tensors[str(node.outputs[0].name)].scale)
    if all(isinstance(size, int) for size in sizes):
        ratio /= max(1, math.prod(size for size in sizes if isinstance(size, int)))
    return None if 2.0**-32 <= ratio < 256.0 else _AVERAGE


def limit_of_softmax(node: ir.Node, tensors: Mapping[str, QuantParams]) -> str | None:
    """Its output starts at zero, and its scale is one over a whole number."""
    y = tensors[str(node.outputs[0].name)]
    steps = np.float32(1.0) / y.scale
    whole = (
        np.isfinite(steps) and steps >= 1.0 and abs(float(np.floor(steps)) * float(y.scale) - 1.0) < 1e-6
    )  # the kernel takes the floor
    return None if whole and int(y.zero_point) == y.int_type.qmin else _SOFTMAX


def _params(node: ir.Node, tensors: Mapping[str, QuantParams]) -> list[QuantParams]:
    """The parameters of the inputs, then those of the output."""
    return [tensors[str(value.name)] for value in (*node.inputs, node.outputs[0]) if value is not None]


def _wide(largest: float, y: QuantParams) -> str | None:
    """The reason where the greatest output, in steps of its scale, may pass int32 before it is clamped."""
    return _WIDE if largest / float(y.scale) + int(y.zero_point) >= _INT32 else None
