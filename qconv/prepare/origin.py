"""Follow a channel axis back through nodes that only move elements.

A Transpose names where its axes come from. Squeeze, Unsqueeze, Reshape and Flatten are followed where they only add and drop
axes of size 1, so that the other axes are the same in the same order. A map without an axis may pass any of them.
"""

from __future__ import annotations

import onnx_ir as ir

from qconv.model.graph import attr_ints, sole_consumer

_RESHAPES = ("Squeeze", "Unsqueeze", "Reshape", "Flatten")


def channel_origin(value: ir.Value, axis: int | None) -> tuple[ir.Value, int | None]:
    """The value that `value` is a rearrangement of and nothing else reads, and what `axis` is there."""
    mover = value.producer()
    x = mover.inputs[0] if mover is not None and mover.inputs else None
    if (
        mover is None
        or mover.domain
        or x is None
        or sole_consumer(x) is not mover
        or mover.op_type not in ("Transpose", *_RESHAPES)
    ):
        return value, axis
    if axis is None:
        return channel_origin(x, None)
    before = _axis_before(mover, x, axis)
    return (value, axis) if before is None else channel_origin(x, before)


def _axis_before(mover: ir.Node, x: ir.Value, axis: int) -> int | None:
    """The axis of x that becomes `axis`, or None if none does as a whole."""
    if mover.op_type == "Transpose":
        rank = len(x.shape) if x.shape is not None else 0
        perm = attr_ints(mover, "perm", range(rank)[::-1])
        return perm[axis] if axis < len(perm) else None
    y = mover.outputs[0]
    if x.shape is None or y.shape is None:
        return None
    before, after = _wide_axes(x.shape), _wide_axes(y.shape)
    if len(before) != len(after) or not _line_up(before, after):
        return None
    return next((old for (old, _), (new, _) in zip(before, after, strict=True) if new == axis), None)


def _wide_axes(shape: ir.Shape) -> list[tuple[int, int | None]]:
    """Axes that are not of size 1, and their sizes (None: unknown)."""
    return [(axis, size if isinstance(size, int) else None) for axis, size in enumerate(shape) if size != 1]


def _line_up(before: list[tuple[int, int | None]], after: list[tuple[int, int | None]]) -> bool:
    """Whether the sizes are equal one by one, with at most one unknown, which then is equal too."""
    pairs = [(old, new) for (_, old), (_, new) in zip(before, after, strict=True)]
    return all(old == new and old != 0 for old, new in pairs) and sum(old is None for old, _ in pairs) <= 1
