"""What a Concat joined, followed through the nodes behind it that only move elements.

Transpose(Concat(a, b)) = Concat(Transpose(a), Transpose(b)), and so for a Reshape that keeps the parts apart, and for what
takes elements along another axis; what takes them along the axis of the parts has some of these, or of one alone.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import onnx_ir as ir

from qconv.model.edit import Attribute, Editor
from qconv.model.graph import attr_int, attr_ints, const_array
from qconv.model.traits import Trait, has_trait

from .remove_noops import slice_arguments

Size = int | str | None


@dataclass(frozen=True)
class Step:
    """A node to be: what it does to its first operand, with constants as the others, and the sizes of what it gives."""

    op_type: str
    constants: tuple[tuple[int, ...], ...]
    attributes: tuple[tuple[str, Attribute], ...]
    shape: tuple[Size, ...]


@dataclass(frozen=True)
class Part:
    """A tensor and the steps from it to a part; `shape` is that of the part."""

    source: ir.Value
    shape: tuple[Size, ...]
    steps: tuple[Step, ...] = ()

    def then(self, op_type: str, shape: Sequence[Size], *constants: Sequence[int], **attributes: Attribute) -> Part:
        """The part one step on."""
        step = Step(op_type, tuple(map(tuple, constants)), tuple(attributes.items()), tuple(shape))
        return Part(self.source, tuple(shape), (*self.steps, step))

    def build(self, editor: Editor, anchor: ir.Node, name: str) -> ir.Value:
        """The nodes of the steps in front of `anchor`, and their last output."""
        value = self.source
        for number, step in enumerate(self.steps):
            place = f"{name}/{step.op_type.lower()}" + (f"_{number}" if number else "")
            constants = [editor.constant(f"{place}_{i}", np.asarray(c, np.int64)) for i, c in enumerate(step.constants)]
            value = editor.insert_before(
                anchor, step.op_type, [value, *constants], dict(step.attributes), name=place, shape=ir.Shape(step.shape)
            )
        return value


@dataclass(frozen=True)
class Joined:
    """Parts of one tensor along an axis, in their order."""

    parts: tuple[Part, ...]
    axis: int

    @classmethod
    def of(cls, node: ir.Node) -> Joined | None:
        """What a Concat joins, where all sizes along its axis are known."""
        values = [value for value in node.inputs if value is not None and value.shape is not None]
        if len(values) != len(node.inputs) or not values:
            return None
        axis = attr_int(node, "axis", 0) % len(shape_of(values[0]))
        parts = tuple(Part(value, shape_of(value)) for value in values)
        return cls(parts, axis) if all(isinstance(part.shape[axis], int) for part in parts) else None

    @property
    def shape(self) -> tuple[Size, ...]:
        """The sizes of the whole."""
        first = self.parts[0].shape
        return (*first[: self.axis], sum(self.sizes), *first[self.axis + 1 :])

    @property
    def sizes(self) -> list[int]:
        """Those of the parts along the axis."""
        return [size for part in self.parts if isinstance(size := part.shape[self.axis], int)]

    def moved(self, node: ir.Node) -> list[Joined | None]:
        """The same for each output of a node that moves the whole; None where its parts mix, or are not told apart."""
        if has_trait(node, Trait.PERMUTES):
            return [self._turned(node)]
        if has_trait(node, Trait.RESHAPES):
            return [self._reshaped(node)]
        if node.op_type == "Split":
            return self._split(node)
        if node.op_type == "Slice":
            return [self._sliced(node)]
        return [self._gathered(node) if node.op_type == "Gather" else None]

    def _turned(self, node: ir.Node) -> Joined | None:
        order = attr_ints(node, "perm", list(range(len(self.shape)))[::-1])
        turned = [part.then("Transpose", [part.shape[axis] for axis in order], perm=order) for part in self.parts]
        return Joined(tuple(turned), order.index(self.axis))

    def _reshaped(self, node: ir.Node) -> Joined | None:
        """Along the axis of the result of which each part has whole slices."""
        shape = None if node.outputs[0].shape is None else shape_of(node.outputs[0])
        inner = _product(self.shape[self.axis + 1 :])
        if shape is None or inner is None:
            return None
        for axis, size in enumerate(shape):
            row = _product(shape[axis + 1 :])
            if row is None or not row or not isinstance(size, int) or size * row != sum(self.sizes) * inner:
                continue
            if not _alike(self.shape[: self.axis], shape[:axis]) or any(own * inner % row for own in self.sizes):
                continue
            found = [_as(part, shape, axis, own * inner // row) for part, own in zip(self.parts, self.sizes, strict=True)]
            whole = [part for part in found if part is not None]
            return Joined(tuple(whole), axis) if len(whole) == len(found) else None
        return None

    def _split(self, node: ir.Node) -> list[Joined | None]:
        axis, shapes = attr_int(node, "axis", 0) % len(self.shape), [value.shape for value in node.outputs]
        sizes = [None if shape is None else shape[axis] for shape in shapes]
        known = [size for size in sizes if isinstance(size, int)]
        if len(known) != len(sizes):
            return [None for _ in sizes]
        ends = np.cumsum([0, *known]).tolist()
        return [self._between(axis, low, high) for low, high in pairwise(ends)]

    def _sliced(self, node: ir.Node) -> Joined | None:
        arguments = slice_arguments(node)
        starts, ends, axes, steps = arguments
        if starts is None or ends is None or axes is None or steps is None or set(steps) != {1}:
            return None
        found: Joined | None = self
        for start, end, axis in zip(starts, ends, axes, strict=True):
            place = axis % len(self.shape)
            size = self.shape[place]
            if found is None or not isinstance(size, int):
                return None
            low, high, _ = slice(start, end).indices(size)
            found = found._between(place, low, high)
        return found

    def _gathered(self, node: ir.Node) -> Joined | None:
        """One slice, whose axis goes, or several in a row."""
        index, axis = const_array(node.inputs[1]), attr_int(node, "axis", 0) % len(self.shape)
        size = self.shape[axis]
        if index is None or index.ndim > 1 or not index.size or not isinstance(size, int):
            return None
        first = int(index.reshape(-1)[0]) % size
        if not (index.reshape(-1) % size == first + np.arange(index.size)).all():
            return None
        taken = self._between(axis, first, first + index.size)
        return taken if index.ndim or taken is None else taken._without(axis)

    def _without(self, axis: int) -> Joined | None:
        if axis == self.axis and len(self.parts) > 1:
            return None
        rest = tuple(part.then("Squeeze", [*part.shape[:axis], *part.shape[axis + 1 :]], [axis]) for part in self.parts)
        return Joined(rest, self.axis - (axis < self.axis))  # of a single part the axis does not matter

    def _between(self, axis: int, low: int, high: int) -> Joined | None:
        """The slices from `low` to before `high` along an axis."""
        if low >= high:
            return None
        if axis != self.axis:
            return replace(self, parts=tuple(_cut(part, axis, low, high) for part in self.parts))
        found, start = [], 0
        for part, size in zip(self.parts, self.sizes, strict=True):
            inner = max(low - start, 0), min(high - start, size)
            if inner[0] < inner[1]:
                found.append(_cut(part, axis, *inner))
            start += size
        return Joined(tuple(found), axis)


def shape_of(value: ir.Value) -> tuple[Size, ...]:
    """The sizes of a tensor: numbers, and names or None for what is not known."""
    assert value.shape is not None
    return tuple(size if isinstance(size, int) else size.value for size in value.shape)


def _cut(part: Part, axis: int, low: int, high: int) -> Part:
    if (low, high) == (0, part.shape[axis]):
        return part
    shape = [*part.shape[:axis], high - low, *part.shape[axis + 1 :]]
    return part.then("Slice", shape, [low], [high], [axis], [1])


def _as(part: Part, shape: Sequence[Size], axis: int, size: int) -> Part | None:
    """A part in the shape of the whole with its own size along the axis; at most one other size may be unknown."""
    own = [*shape[:axis], size, *shape[axis + 1 :]]
    numbers = [number if isinstance(number, int) else -1 for number in own]
    return part.then("Reshape", own, numbers) if numbers.count(-1) <= 1 and 0 not in numbers else None


def _product(sizes: Sequence[Size]) -> int | None:
    known = [size for size in sizes if isinstance(size, int)]
    return math.prod(known) if len(known) == len(sizes) else None


def _alike(one: Sequence[Size], other: Sequence[Size]) -> bool:
    """Whether two rows of sizes have the same product, as far as is known."""
    known = [math.prod(size for size in sizes if isinstance(size, int)) for sizes in (one, other)]
    names = [Counter(size for size in sizes if not isinstance(size, int)) for sizes in (one, other)]
    return known[0] == known[1] and names[0] == names[1] and names[0][None] < 2
