"""QuantizeLinear and DequantizeLinear, the two ends of an integer graph; and the codes of mode dynamic.

q = clip(rint(x / S) + Z)        real = S * (q - Z)        (docs/arithmetic.md, equation 1 and its inverse)
"""

from __future__ import annotations

import numpy as np

from qconv.integer.execution.arrays import Array, Operands, optional, required
from qconv.integer.step import Step
from qconv.quant.types import INT8, INT16, INT32, UINT8, IntType, QuantParams

_INT_TYPES: dict[str, IntType] = {"uint8": UINT8, "int8": INT8, "int16": INT16, "int32": INT32}


def quantize_linear(step: Step, inputs: Operands) -> list[Array]:
    """Codes of float32 x, per tensor or along `axis`; NaN becomes the lowest code, as in onnxruntime."""
    x, zero_point = required(inputs, 0), optional(inputs, 2)
    params = _params(step, inputs, np.dtype(np.uint8) if zero_point is None else zero_point.dtype, x.ndim)
    return [params.quantize(np.where(np.isnan(x), np.float32(-np.inf), x))]


def dequantize_linear(step: Step, inputs: Operands) -> list[Array]:
    """Reals of the codes x, per tensor or along `axis`."""
    x = required(inputs, 0)
    return [_params(step, inputs, x.dtype, x.ndim).dequantize(x)]


def dynamic_quantize_linear(step: Step, inputs: Operands) -> list[Array]:
    """Codes of float32 x in uint8, their scale and their zero point: S = (max - min) / 255 with 0 between them, in float32."""
    x = required(inputs, 0)
    lowest, highest = np.minimum(x.min(initial=0), np.float32(0)), np.maximum(x.max(initial=0), np.float32(0))
    scale = np.float32(1) if lowest == highest else np.float32((highest - lowest) / np.float32(UINT8.qmax))
    zero_point = np.rint(np.clip(-lowest / scale, 0, UINT8.qmax)).astype(np.uint8)
    params = QuantParams(np.asarray(scale, np.float32), np.asarray(zero_point), UINT8)
    return [params.quantize(x), np.asarray(scale, np.float32), np.asarray(zero_point)]


def _params(step: Step, inputs: Operands, dtype: np.dtype[np.generic], rank: int) -> QuantParams:
    int_type = _INT_TYPES.get(dtype.name)
    if int_type is None:
        raise ValueError(f"codes of type {dtype.name} are not in the language")
    scale, zero_point = required(inputs, 1), optional(inputs, 2)
    zero_point = np.zeros(scale.shape, dtype) if zero_point is None else zero_point
    axis = step.geometry.integer("axis", 1) % max(rank, 1)
    if scale.size == 1 and (scale.ndim == 0 or rank <= axis):
        return QuantParams(scale.reshape(()), zero_point.reshape(()), int_type)
    return QuantParams(scale, zero_point, int_type, axis)
