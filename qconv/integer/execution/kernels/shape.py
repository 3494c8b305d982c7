"""Operators that move, copy, cut and measure; they do not look at the values that they carry."""

from __future__ import annotations

import math

import numpy as np

from qconv.integer.execution.arrays import Array, Operands, integers, optional, required
from qconv.integer.step import Step


def identity(step: Step, inputs: Operands) -> list[Array]:
    """The kernel of Identity: x."""
    return [required(inputs, 0)]


def reshape(step: Step, inputs: Operands) -> list[Array]:
    """x in another shape; 0 keeps a dimension unless `allowzero`, and -1 is what remains."""
    x, shape = required(inputs, 0), integers(required(inputs, 1))
    if not step.geometry.integer("allowzero", 0):
        shape = [x.shape[axis] if dim == 0 else dim for axis, dim in enumerate(shape)]
    return [x.reshape(shape)]


def flatten(step: Step, inputs: Operands) -> list[Array]:
    """x as a matrix: the axes before `axis`, and those from it on."""
    x = required(inputs, 0)
    axis = step.geometry.integer("axis", 1)
    axis += x.ndim if axis < 0 else 0
    return [x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))]


def transpose(step: Step, inputs: Operands) -> list[Array]:
    """x with its axes in the order `perm`, reversed by default."""
    x = required(inputs, 0)
    return [np.ascontiguousarray(x.transpose(step.geometry.integers("perm", range(x.ndim)[::-1])))]


def squeeze(step: Step, inputs: Operands) -> list[Array]:
    """x without the axes of length 1 that are named, or without all of them."""
    x, axes = required(inputs, 0), optional(inputs, 1)
    return [np.squeeze(x) if axes is None else np.squeeze(x, tuple(integers(axes)))]


def unsqueeze(step: Step, inputs: Operands) -> list[Array]:
    """x with new axes of length 1, counted in the result."""
    return [np.expand_dims(required(inputs, 0), tuple(integers(required(inputs, 1))))]


def expand(step: Step, inputs: Operands) -> list[Array]:
    """x broadcast with a shape, both ways."""
    x, shape = required(inputs, 0), integers(required(inputs, 1))
    return [np.broadcast_to(x, np.broadcast_shapes(x.shape, tuple(shape))).copy()]


def concat(step: Step, inputs: Operands) -> list[Array]:
    """The inputs one after another along `axis`."""
    return [np.concatenate([required(inputs, i) for i in range(len(inputs))], axis=step.geometry.integer("axis"))]


def split(step: Step, inputs: Operands) -> list[Array]:
    """x cut along `axis` into parts of given lengths, or into equal ones of which the last may be shorter."""
    x, lengths = required(inputs, 0), optional(inputs, 1)
    axis = step.geometry.integer("axis", 0)
    if lengths is not None:
        ends = np.cumsum(lengths)[:-1]
    else:
        length = -(-x.shape[axis] // len(step.writes))
        ends = np.arange(1, len(step.writes)) * length
    return [np.ascontiguousarray(part) for part in np.split(x, ends, axis=axis)]


def slice_(step: Step, inputs: Operands) -> list[Array]:
    """x cut and strided: starts, ends, axes, steps; ends beyond an axis are cut to it."""
    x, starts, ends = required(inputs, 0), integers(required(inputs, 1)), integers(required(inputs, 2))
    axes, steps = optional(inputs, 3), optional(inputs, 4)
    cuts = [slice(None)] * x.ndim
    for start, end, axis, stride in zip(
        starts,
        ends,
        range(len(starts)) if axes is None else integers(axes),
        [1] * len(starts) if steps is None else integers(steps),
        strict=True,
    ):
        cuts[axis] = _cut(start, end, stride, x.shape[axis])
    return [np.ascontiguousarray(x[tuple(cuts)])]


def gather(step: Step, inputs: Operands) -> list[Array]:
    """The elements of x at `indices` along `axis`; negative indices count from the end."""
    x, indices = required(inputs, 0), required(inputs, 1)
    axis = step.geometry.integer("axis", 0)
    _check_indices(indices, x.shape[axis])
    return [np.asarray(np.take(x, indices, axis=axis))]


def gather_elements(step: Step, inputs: Operands) -> list[Array]:
    """x at `indices` of its own rank: each one replaces its coordinate along `axis`."""
    x, indices = required(inputs, 0), required(inputs, 1)
    axis = step.geometry.integer("axis", 0)
    _check_indices(indices, x.shape[axis])
    if x.ndim == 1:
        return [x[indices]]
    x = x[tuple(slice(None) if a == axis % x.ndim else slice(size) for a, size in enumerate(indices.shape))]
    return [np.take_along_axis(x, indices.astype(np.int64), axis=axis)]


def top_k(step: Step, inputs: Operands) -> list[Array]:
    """The k largest or smallest elements along `axis` in their order, and their places; of equal ones the first come first."""
    x, (k,) = required(inputs, 0), integers(required(inputs, 1))
    axis = step.geometry.integer("axis", -1)
    keys = -x.astype(np.int64) if step.geometry.integer("largest", 1) else x.astype(np.int64)
    places = np.argsort(keys, axis=axis, kind="stable").take(np.arange(k), axis=axis)
    return [np.take_along_axis(x, places, axis=axis), places.astype(np.int64)]


def shape_of(step: Step, inputs: Operands) -> list[Array]:
    """The shape of x, or a range of it."""
    shape = np.array(required(inputs, 0).shape, np.int64)
    return [shape[step.geometry.integer("start", 0) : step.geometry.integer("end", len(shape))]]


def size_of(step: Step, inputs: Operands) -> list[Array]:
    """The number of elements of x."""
    return [np.array(required(inputs, 0).size, np.int64)]


def _cut(start: int, end: int, step: int, length: int) -> slice:
    """The slice of one axis; going backwards, a start before the axis is its first element, unlike in Python."""
    start, end = (value + length if value < 0 else value for value in (start, end))
    if step > 0:
        return slice(min(max(start, 0), length), min(max(end, 0), length), step)
    start, end = min(max(start, 0), length - 1), min(max(end, -1), length)
    return slice(start, None if end < 0 else end, step)


def _check_indices(indices: Array, length: int) -> None:
    if indices.size and (int(indices.min()) < -length or int(indices.max()) >= length):
        raise ValueError(f"an index lies outside an axis of {length} elements")
