"""Resize to the nearest element. Coordinates are formed in float32, as onnxruntime forms them; the codes are only moved."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qconv.integer.execution.arrays import Array, Operands, integers, optional, required
from qconv.integer.step import Step
from qconv.quant.types import FloatArray

_ONE, _HALF = np.float32(1), np.float32(0.5)
_HALF_WIDTH = np.float32(1e-6)


@dataclass(frozen=True)
class _Axis:
    """How one axis is resized: sizes, their float32 ratio, and the region of interest in parts of the axis."""

    before: int
    after: int
    scale: np.float32
    start: np.float32
    end: np.float32


def resize(step: Step, inputs: Operands) -> list[Array]:
    """x with each axis resized by `scales`, or to `sizes`. Raises ValueError for modes other than nearest."""
    if step.geometry.text("mode", "nearest") != "nearest":
        raise ValueError("Resize of integers is computed in mode nearest only")
    x = required(inputs, 0)
    mode = step.geometry.text("coordinate_transformation_mode", "half_pixel")
    rounding = step.geometry.text("nearest_mode", "round_prefer_floor")
    outside = np.asarray(step.geometry.real("extrapolation_value", 0.0)).astype(x.dtype)
    result = x
    for number, axis in enumerate(_axes(step, inputs, x.shape)):
        if axis.scale == _ONE and axis.before == axis.after:
            continue  # onnxruntime transforms no coordinate here, not even for tf_crop_and_resize
        original = original_coordinates(axis, mode)
        index = np.clip(nearest(original, rounding), 0, axis.before - 1)
        result = np.take(result, index, axis=number)
        if mode == "tf_crop_and_resize":
            beyond = (original < 0) | (original > axis.before - 1)
            result[(slice(None),) * number + (beyond,)] = outside
    return [result]


def original_coordinates(axis: _Axis, mode: str) -> FloatArray:
    """The position in the input, in float32, of each element of a resized axis."""
    x, scale = np.arange(axis.after, dtype=np.float32), axis.scale
    before, after = np.float32(axis.before), np.float32(axis.after)
    match mode:
        case "asymmetric":
            return x / scale
        case "half_pixel":
            return (x + _HALF) / scale - _HALF
        case "pytorch_half_pixel":
            return (x + _HALF) / scale - _HALF if axis.after > 1 else np.zeros_like(x)
        case "tf_half_pixel_for_nn":
            return (x + _HALF) / scale
        case "align_corners":
            return np.zeros_like(x) if axis.after == 1 else x * (before - _ONE) / (after - _ONE)
        case "tf_crop_and_resize":
            if axis.after > 1:
                return axis.start * (before - _ONE) + x * (axis.end - axis.start) * (before - _ONE) / (after - _ONE)
            middle = 0.5 * float(axis.start + axis.end) * float(before - _ONE)
            return np.full_like(x, np.float32(middle))
        case "half_pixel_symmetric":
            offset = before / np.float32(2) * (_ONE - after / (scale * before))
            return (np.float64(offset) + (x.astype(np.float64) + 0.5) / np.float64(scale) - 0.5).astype(np.float32)
        case _:
            raise ValueError(f"the coordinate_transformation_mode {mode} of Resize is unknown")


def nearest(x: FloatArray, mode: str) -> Array:
    """Coordinates as integers; the modes that round take what lies within 1e-6 of a half for a half, as onnxruntime does."""
    floor = np.floor(x)
    fraction = x - floor
    is_half = np.abs(fraction - _HALF) < _HALF_WIDTH
    match mode:
        case "floor":
            chosen = floor
        case "ceil":
            chosen = np.ceil(x)
        case "round_prefer_ceil":
            chosen = floor + (is_half | (fraction > _HALF))
        case "round_prefer_floor":
            chosen = floor + (~is_half & (fraction > _HALF))
        case _:
            raise ValueError(f"the nearest_mode {mode} of Resize is unknown")
    return chosen.astype(np.int64)


def _axes(step: Step, inputs: Operands, shape: Sequence[int]) -> list[_Axis]:
    chosen = [axis % len(shape) for axis in step.geometry.integers("axes", range(len(shape)))]
    regions = [(np.float32(0), _ONE)] * len(chosen)
    roi = optional(inputs, 1)
    if roi is not None and roi.size == 2 * len(chosen):
        flat = roi.astype(np.float32)
        regions = list(zip(flat[: len(chosen)], flat[len(chosen) :], strict=True))
    axes = [_Axis(size, size, _ONE, np.float32(0), _ONE) for size in shape]
    for number, size, scale, (start, end) in zip(
        chosen, *_sizes(step, inputs, [shape[axis] for axis in chosen]), regions, strict=True
    ):
        axes[number] = _Axis(shape[number], size, scale, start, end)
    return axes


def _sizes(step: Step, inputs: Operands, shape: Sequence[int]) -> tuple[list[int], list[np.float32]]:
    scales = optional(inputs, 2)
    if scales is not None and scales.size:
        factors = [np.float32(scale) for scale in scales]
        return [int(factor * np.float32(size)) for factor, size in zip(factors, shape, strict=True)], factors
    sizes = integers(required(inputs, 3))
    factors = [np.float32(size) / np.float32(old) for size, old in zip(sizes, shape, strict=True)]
    policy = step.geometry.text("keep_aspect_ratio_policy", "stretch")
    if policy == "stretch":
        return sizes, factors
    factor = min(factors) if policy == "not_larger" else max(factors)
    return [math.floor(float(factor * np.float32(old)) + 0.5) for old in shape], [factor] * len(shape)
