"""Plain arithmetic on integers, with the wrap-around of their types: Clip, Max, Min, Cast, Add, Div, and reductions."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import numpy as np
import onnx_ir as ir

from qconv.integer.execution.arrays import Array, Operands, integers, optional, required
from qconv.integer.step import Step


def clip(step: Step, inputs: Operands) -> list[Array]:
    """x between two optional bounds; the upper one wins where they cross."""
    x, low, high = required(inputs, 0), optional(inputs, 1), optional(inputs, 2)
    x = x if low is None else np.maximum(x, low.reshape(()))
    return [x if high is None else np.minimum(x, high.reshape(()))]


def cast(step: Step, inputs: Operands) -> list[Array]:
    """x in another type; integers keep their low bits. Raises ValueError for a float type."""
    x, target = required(inputs, 0), ir.DataType(step.geometry.integer("to"))
    if target.is_floating_point() or x.dtype.kind == "f":
        raise ValueError("a Cast from or to a float type is not an integer operation")
    return [x.astype(target.numpy())]


def variadic(combine: Callable[..., Array]) -> Callable[[Step, Operands], list[Array]]:
    """The kernel of a ufunc folded over all inputs, broadcast."""

    def kernel(step: Step, inputs: Operands) -> list[Array]:
        return [np.asarray(reduce(combine, [required(inputs, i) for i in range(len(inputs))]))]

    return kernel


def divide(step: Step, inputs: Operands) -> list[Array]:
    """a / b truncated toward zero, as C divides; a divisor of 0 raises ValueError."""
    a, b = required(inputs, 0), required(inputs, 1)
    if not b.all():
        raise ValueError("a divisor is 0")
    return [truncated_quotient(a, b)]


def modulo(step: Step, inputs: Operands) -> list[Array]:
    """The remainder with the sign of the divisor, or of the dividend with `fmod`; a divisor of 0 raises ValueError."""
    a, b = required(inputs, 0), required(inputs, 1)
    if not b.all():
        raise ValueError("a divisor is 0")
    return [np.fmod(a, b) if step.geometry.integer("fmod", 0) else np.mod(a, b)]


def reduction(fold: Callable[..., Array]) -> Callable[[Step, Operands], list[Array]]:
    """The kernel of a reduction over `axes` in the type of its input."""

    def kernel(step: Step, inputs: Operands) -> list[Array]:
        x, axes = required(inputs, 0), _reduced_axes(step, inputs)
        if axes == ():
            return [x]
        return [np.asarray(fold(x, axis=axes, keepdims=bool(step.geometry.integer("keepdims", 1)))).astype(x.dtype)]

    return kernel


def mean(x: Array, *, axis: tuple[int, ...] | None, keepdims: bool) -> Array:
    """The mean of integers, truncated toward zero."""
    total = np.asarray(x.sum(axis=axis, keepdims=keepdims, dtype=np.int64))
    count = x.size // max(total.size, 1)
    return truncated_quotient(total, np.array(count, np.int64))


def truncated_quotient(a: Array, b: Array) -> Array:
    """a / b toward zero, in the type of a."""
    quotient = a // b
    return np.asarray(quotient + ((quotient < 0) & (quotient * b != a)).astype(a.dtype))


def _reduced_axes(step: Step, inputs: Operands) -> tuple[int, ...] | None:
    axes = optional(inputs, 1)
    if axes is not None and axes.size:
        return tuple(integers(axes))
    return () if step.geometry.integer("noop_with_empty_axes", 0) else None
