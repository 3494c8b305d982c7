"""What the language asks of scales, zero points, biases and metadata: the part of `spec.check` that looks at numbers."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx_ir as ir

from qconv.integer.execution.arrays import Array
from qconv.integer.language.audit import Types
from qconv.integer.language.element_types import element_type
from qconv.integer.language.multipliers import constant, multipliers_of
from qconv.integer.language.operands import WEIGHT_AXES, Layout, Triple, layout_of, weight_axis
from qconv.integer.metadata import is_described, read_multipliers
from qconv.quant.fixedpoint import Multiplier


def quantized_violations(node: ir.Node, types: Types, allowed: frozenset[ir.DataType]) -> list[str]:
    """What a quantized operator violates; its tensors have types in `allowed`."""
    layout = layout_of(node)
    assert layout is not None
    found: list[str] = []
    for position, triple in enumerate((*layout.reads, layout.writes)):
        value = node.outputs[0] if triple.tensor is None else _input(node, triple.tensor)
        channels = _channels(node) if position == 1 and node.op_type in WEIGHT_AXES else None
        found += _pair_violations(node, triple, value, types, channels)
        dtype = None if value is None else element_type(value, types)
        if dtype is not None and dtype not in allowed:
            found.append(f"tensor {'' if value is None else value.name!r} is {dtype.name.lower()}")
    found += _signedness_violations(node, layout, types)
    bias = None if layout.bias is None else _input(node, layout.bias)
    if bias is not None and element_type(bias, types) != ir.DataType.INT32:
        found.append(f"the bias {bias.name!r} is not int32")
    return found or [*_form_violations(node), *_metadata_violations(node)]


def quantizer_violations(node: ir.Node, types: Types) -> list[str]:
    """What a QuantizeLinear or DequantizeLinear violates."""
    codes = node.outputs[0] if node.op_type == "QuantizeLinear" else node.inputs[0]
    shape = None if codes is None or codes.shape is None else list(codes.shape)
    axis = node.attributes.get_int("axis", 1)
    channels = shape[axis] if shape is not None and -len(shape) <= axis < len(shape) else None
    return _pair_violations(
        node, Triple(None, 1, 2), codes, types, channels if isinstance(channels, int) else None, any_zero=True
    )


def _pair_violations(
    node: ir.Node, triple: Triple, value: ir.Value | None, types: Types, channels: int | None, *, any_zero: bool = False
) -> list[str]:
    """What a scale and a zero point violate; `channels` is how many there may be instead of one.

    Zero points by channel are 0, or with `any_zero` all the same.
    """
    scale, zero_point = constant(node, triple.scale), constant(node, triple.zero_point)
    if scale is None or zero_point is None:
        missing = "scale" if scale is None else "zero point"
        return [f"input {triple.scale if scale is None else triple.zero_point}, a {missing}, is not an initializer"]
    name = "" if value is None else value.name
    found = []
    if zero_point.shape not in (scale.shape, ()):  # one zero point may serve all channels
        found.append(f"the scale of {name!r} has the shape {scale.shape}, its zero point {zero_point.shape}")
    if scale.ndim and (channels is None or scale.size != channels):
        found.append(f"the scale of {name!r} has the shape {scale.shape}, not one value of rank 0{_or_channels(channels)}")
    if scale.dtype != np.float32 or not np.isfinite(scale).all() or not (scale > 0).all():
        found.append(f"the scale of {name!r} is not a positive, finite float32")
    dtype = None if value is None else element_type(value, types)
    if dtype is not None and zero_point.dtype != dtype.numpy():
        found.append(f"the zero point of {name!r} is {zero_point.dtype}, its codes are {dtype.name.lower()}")
    if scale.ndim and zero_point.any() and not any_zero:
        found.append(f"zero points of {name!r} by channel are not all 0")
    if scale.ndim and len(np.unique(zero_point)) > 1:
        found.append(f"zero points of {name!r} by channel differ")
    return found


def _or_channels(channels: int | None) -> str:
    return "" if channels is None else f" or {channels} by channel"


def _signedness_violations(node: ir.Node, layout: Layout, types: Types) -> list[str]:
    """onnxruntime has u8 x (u8 or s8) -> u8, and s8 x s8 -> s8; other operators read and write one type."""
    operands = [None if triple.tensor is None else _input(node, triple.tensor) for triple in layout.reads]
    read = [element_type(value, types) for value in operands if value is not None]
    written = element_type(node.outputs[0], types)
    mixed = node.op_type in WEIGHT_AXES and read[0] == written == ir.DataType.UINT8
    if mixed or not read or (len(set(read)) == 1 and read[0] == written):
        return []
    names = " x ".join("unknown" if dtype is None else dtype.name.lower() for dtype in read)
    return [f"it maps {names} to {'unknown' if written is None else written.name.lower()}, for which there is no kernel"]


def _form_violations(node: ir.Node) -> list[str]:
    match node.op_type:
        case "QGemm" if node.attributes.get_float("alpha", 1.0) != 1.0:
            return ["alpha is not 1"]
        case "QLinearAveragePool":
            x_scale, x_zero_point, y_scale, y_zero_point = (constant(node, index) for index in (1, 2, 3, 4))
            equal = _equals(x_scale, 1.0) and _equals(y_scale, 1.0) and np.array_equal(_array(x_zero_point), _array(y_zero_point))
            return (
                []
                if equal
                else ["its scales are not 1, or its zero points differ: onnxruntime's float32 sum is exact for these only"]
            )
        case "QLinearSoftmax":
            form = _inverse_is_whole(constant(node, 3)) and _is_lowest_code(constant(node, 4))
            if form and node.attributes.get_int("opset", 0) == 13:
                return []
            return [
                "1 / scale of its output is not a whole number, its zero point is not the lowest code, or its opset is not 13"
            ]
        case "QLinearLeakyRelu" if node.attributes.get_float("alpha", 0.01) <= 0:
            return ["alpha is not positive"]
        case _:
            return []


def _inverse_is_whole(scale: Array | None) -> bool:
    """Whether floor(1 / S) S is 1 up to the rounding of S: the kernel multiplies by that floor."""
    if scale is None or scale.size != 1:
        return False
    step = np.float32(scale.reshape(()))
    return bool(abs(float(np.floor(np.float32(1.0) / step)) * float(step) - 1.0) < 1e-6)


def _is_lowest_code(zero_point: Array | None) -> bool:
    """Whether a zero point is 0 if unsigned, and the lowest code of some number of bits if signed."""
    lowest = [0] if zero_point is None or zero_point.dtype.kind == "u" else [-(1 << bits) for bits in range(8)]
    return any(_equals(zero_point, code) for code in lowest)


def _metadata_violations(node: ir.Node) -> list[str]:
    """Whether qconv.m0 and qconv.n, where a node has them, are what its scales make."""
    if not is_described(node):
        return []
    expected = multipliers_of(node)
    if not expected:
        return []
    try:
        found = read_multipliers(node)
    except (ValueError, TypeError):
        found = ()
    if not found:
        return ["its qconv.m0 and qconv.n are damaged"]
    if all(_numbers(found, key) == _numbers(expected, key) for key in ("m0", "n")):
        return []
    return ["qconv.m0 and qconv.n are not those of its scales"]


def _numbers(multipliers: Iterable[Multiplier], field: str) -> list[int]:
    return [int(number) for multiplier in multipliers for number in np.atleast_1d(getattr(multiplier, field))]


def _channels(node: ir.Node) -> int | None:
    """The number of output channels of a weight; None where it is not known."""
    weight = _input(node, 3)
    if weight is None or weight.shape is None:
        return None
    axis = weight_axis(node)
    channels = None if axis is None else weight.shape[axis]
    return channels if isinstance(channels, int) else None


def _input(node: ir.Node, index: int) -> ir.Value | None:
    return node.inputs[index] if index < len(node.inputs) else None


def _array(array: Array | None) -> Array:
    return np.zeros(0) if array is None else array


def _equals(array: Array | None, value: float) -> bool:
    return array is not None and array.size == 1 and float(array.reshape(())) == value
