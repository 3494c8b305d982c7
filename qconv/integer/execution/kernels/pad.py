"""Pad in its modes; a negative pad cuts off. Padding with a zero point arrives as the constant value."""

from __future__ import annotations

import numpy as np

from qconv.integer.execution.arrays import Array, Operands, integers, optional, required
from qconv.integer.step import Step

_NUMPY_MODES = {"reflect": "reflect", "edge": "edge", "wrap": "wrap"}


def pad(step: Step, inputs: Operands) -> list[Array]:
    """x with `pads` elements added before and after each axis of `axes`; modes constant, reflect, edge and wrap."""
    x, pads = required(inputs, 0), integers(required(inputs, 1))
    constant, axes = optional(inputs, 2), optional(inputs, 3)
    chosen = [axis % x.ndim for axis in (range(x.ndim) if axes is None else integers(axes))]
    begins, ends = [0] * x.ndim, [0] * x.ndim
    for axis, begin, end in zip(chosen, pads[: len(chosen)], pads[len(chosen) :], strict=True):
        begins[axis], ends[axis] = begin, end
    cut = [slice(max(-b, 0), size - max(-e, 0)) for b, e, size in zip(begins, ends, x.shape, strict=True)]
    x = x[tuple(cut)]
    widths = [(max(b, 0), max(e, 0)) for b, e in zip(begins, ends, strict=True)]
    mode = step.geometry.text("mode", "constant")
    if mode == "constant":
        value = np.zeros((), x.dtype) if constant is None else constant.reshape(()).astype(x.dtype)
        return [np.pad(x, widths, constant_values=value)]
    if mode not in _NUMPY_MODES:
        raise ValueError(f"the mode {mode} of Pad is unknown")
    return [np.pad(x, widths, mode=_NUMPY_MODES[mode])]  # type: ignore[call-overload]
