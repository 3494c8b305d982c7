"""Weights and biases of a quantized graph: their codes, their reals, and the parameters that join the two."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.errors import ModelError
from qconv.model.graph import attr_int, const_array
from qconv.quant.copies import fits_int8
from qconv.quant.types import INT8, INT9, FloatArray, IntArray, QuantParams

from .code_types import code_type


@dataclass(frozen=True)
class Reals:
    """The reals of a constant, and the symmetric parameters under which they are whole codes: None for scales in blocks."""

    reals: FloatArray
    params: QuantParams | None


def codes_of_constant(node: ir.Node, array: NDArray[np.generic]) -> IntArray:
    """The codes that a QuantizeLinear makes of a constant. Raises ModelError where that is not known."""
    scale, zero = _operands(node)
    own = code_type(node.outputs[0])
    if scale is None or own is None:
        raise ModelError(f"node {node.name} (QuantizeLinear) quantizes a weight in a way that is unknown here; store it as codes")
    steps, shift = _along(node, scale, array), 0.0 if zero is None else _along(node, zero, array)
    codes = np.rint(array.astype(np.float32) / steps) + shift
    return np.asarray(np.clip(codes, own.qmin, own.qmax).astype(own.dtype))


def reals_of_constant(node: ir.Node, array: NDArray[np.generic]) -> Reals:
    """What a DequantizeLinear makes of constant codes. Raises ModelError where its scale is computed.

    Codes less their zero points are codes around zero, of 9 bits where 8 do not hold them.
    """
    scale, zero = _operands(node)
    if scale is None:
        raise ModelError(f"node {node.name} (DequantizeLinear) computes its scale at run time; make it a constant")
    codes = array.astype(np.float32) - (0.0 if zero is None else _along(node, zero, array))
    reals = (codes * _along(node, scale, array)).astype(np.float32)
    codes, scale = codes * np.sign(_along(node, scale, array)), np.where(scale == 0, 1, np.abs(scale))  # any step serves zeros
    if attr_int(node, "block_size", 0) or (scale.size > 1 and scale.ndim > 1):
        return Reals(reals, None)
    single = scale.size == 1
    steps = np.asarray(scale, np.float32).reshape(() if single else (-1,))
    axis = None if single else attr_int(node, "axis", 1) % max(array.ndim, 1)
    return Reals(reals, QuantParams(steps, np.zeros(steps.shape, np.int8), INT8 if fits_int8(codes) else INT9, axis))


def _operands(node: ir.Node) -> tuple[NDArray[np.generic] | None, NDArray[np.generic] | None]:
    """The scale and the zero point."""
    return const_array(node.inputs[1]), const_array(node.inputs[2]) if len(node.inputs) > 2 else None


def _along(node: ir.Node, array: NDArray[np.generic], codes: NDArray[np.generic]) -> FloatArray:
    """A scale or zero point as it broadcasts over the codes."""
    numbers, axis, block = (
        array.astype(np.float32),
        attr_int(node, "axis", 1) % max(codes.ndim, 1),
        attr_int(node, "block_size", 0),
    )
    if numbers.size == 1:
        return numbers.reshape(())
    if block:
        return np.repeat(numbers, block, axis=axis)[tuple(slice(size) for size in codes.shape)]
    sizes = [1] * codes.ndim
    sizes[axis] = -1
    return numbers.reshape(sizes)
