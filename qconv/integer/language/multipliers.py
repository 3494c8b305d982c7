"""The multiplier M that the scales of a quantized operator make, in the order in which onnxruntime forms it in float32.

product   M = (S_x * S_w) / S_y         convolutions and matrix products; Mul          (docs/arithmetic.md, equation 5)
ratio     M = S_x / S_y                 Add (one for each operand), Concat
mean      M = S_x / (S_y * count)       GlobalAveragePool
leaky     M = S_x / S_y for codes at or above Z_x, (alpha * S_x) / S_y below
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from qconv.integer.execution.arrays import Array
from qconv.integer.language.operands import layout_of
from qconv.quant.fixedpoint import Multiplier
from qconv.quant.types import FloatArray

SEVERAL = frozenset({"QLinearAdd", "QLinearConcat", "QLinearLeakyRelu"})  # a multiplier for each operand, or for each sign


def product(x_scale: Array, w_scale: Array, y_scale: Array, alpha: float = 1.0) -> Multiplier:
    """M of a product of two codes, per tensor or per channel of `w_scale`."""
    return Multiplier.of((_f32(alpha) * _f32(x_scale) * _f32(w_scale)) / _f32(y_scale))


def ratio(x_scale: Array, y_scale: Array) -> Multiplier:
    """M of an affine map from one (S, Z) to another."""
    return Multiplier.of(_f32(x_scale) / _f32(y_scale))


def mean(x_scale: Array, y_scale: Array, count: int) -> Multiplier:
    """M of the mean of `count` codes, applied to their sum."""
    return Multiplier.of(_f32(x_scale) / (_f32(y_scale) * _f32(count)))


def leaky(x_scale: Array, y_scale: Array, alpha: float) -> tuple[Multiplier, Multiplier]:
    """M for codes at or above the zero point, and M for those below it."""
    return ratio(x_scale, y_scale), Multiplier.of((_f32(alpha) * _f32(x_scale)) / _f32(y_scale))


def multipliers_of(node: ir.Node) -> list[Multiplier]:
    """The multipliers of a quantized node, from its initializers: one, or one for each operand of Add and Concat.

    Empty for nodes that are tables or copies (Sigmoid, Softmax, an average at equal scales), and where scales are not
    initializers or a GlobalAveragePool's map has no static size. Raises ValueError for a scale that is not positive and finite.
    """
    layout = layout_of(node)
    if layout is None:
        return []
    arrays = [constant(node, index) for index in (*(triple.scale for triple in layout.reads), layout.writes.scale)]
    scales = [array for array in arrays if array is not None]
    if len(scales) < len(arrays):
        return []
    *reads, y_scale = scales
    match node.op_type:
        case "QLinearConv" | "QLinearMatMul" | "QGemm" | "QLinearMul":
            return [product(reads[0], reads[1], y_scale, node.attributes.get_float("alpha", 1.0))]
        case "QLinearAdd" | "QLinearConcat":
            return [ratio(x_scale, y_scale) for x_scale in reads]
        case "QLinearGlobalAveragePool":
            count = _map_size(node)
            return [] if count is None else [mean(reads[0], y_scale, count)]
        case "QLinearLeakyRelu":
            return list(leaky(reads[0], y_scale, node.attributes.get_float("alpha", 0.01)))
        case _:
            return []


def constant(node: ir.Node, index: int) -> Array | None:
    """The array of input `index` where it is an initializer, else None."""
    value = node.inputs[index] if index < len(node.inputs) else None
    if value is None or value.const_value is None or value.is_graph_input():
        return None
    return value.const_value.numpy()


def _map_size(node: ir.Node) -> int | None:
    value = node.inputs[0]
    if value is None or value.shape is None:
        return None
    dims = list(value.shape)
    spatial = dims[1:-1] if node.attributes.get_int("channels_last", 0) else dims[2:]
    sizes = [dim for dim in spatial if isinstance(dim, int)]
    return int(np.prod(sizes)) if len(sizes) == len(spatial) else None


def _f32(value: Array | float) -> FloatArray:
    return np.asarray(value, np.float32)
