"""The two operators that a simulated network is exported with; in ONNX they are QuantizeLinear and DequantizeLinear."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from onnxscript import opset18 as op
from torch import Tensor


@torch.library.custom_op("qconv::pair", mutates_args=())
def _pair(x: Tensor, scale: Tensor, zero_point: Tensor, low: int, high: int) -> Tensor:
    zero = zero_point.to(x.dtype)
    return (torch.clamp(torch.round(x / scale) + zero, low, high) - zero) * scale


@_pair.register_fake
def _pair_shape(x: Tensor, scale: Tensor, zero_point: Tensor, low: int, high: int) -> Tensor:
    return torch.empty_like(x)


@torch.library.custom_op("qconv::reals", mutates_args=())
def _reals(codes: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
    along = (-1, *[1] * (codes.ndim - 1)) if scale.ndim else ()
    return codes.to(scale.dtype) * scale.reshape(along)


@_reals.register_fake
def _reals_shape(codes: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
    return torch.empty(codes.shape, dtype=scale.dtype)


def pair(x: Tensor, scale: Tensor, zero_point: Tensor, low: int, high: int) -> Tensor:
    """x rounded, as the operator that becomes QuantizeLinear, a Clip of codes below 8 bits, and DequantizeLinear."""
    result: Tensor = torch.ops.qconv.pair(x, scale, zero_point, low, high)
    return result


def reals(codes: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
    """A weight or a bias from its codes, as the operator that becomes DequantizeLinear; scales lie along axis 0."""
    result: Tensor = torch.ops.qconv.reals(codes, scale, zero_point)
    return result


def translations() -> dict[Any, Callable[..., Any]]:
    """What torch.onnx.export writes for the two."""
    return {torch.ops.qconv.pair.default: _write_pair, torch.ops.qconv.reals.default: _write_reals}


def _write_pair(x: Any, scale: Any, zero_point: Any, low: int, high: int) -> Any:
    codes = op.QuantizeLinear(x, scale, zero_point)
    if high - low < 255:
        ends: list[Any] = [_code(end, zero_point) for end in (low, high)]
        codes = op.Clip(codes, *ends)
    return op.DequantizeLinear(codes, scale, zero_point)


def _code(value: int, like: Any) -> Any:
    constant: Any = op.Constant(value_int=value)
    return op.CastLike(constant, like)


def _write_reals(codes: Any, scale: Any, zero_point: Any) -> Any:
    return op.DequantizeLinear(codes, scale, zero_point, axis=0)
