"""Make the target of a Reshape constant where it is only computed to carry an unknown size along.

1. The inferred shape of the result is the target, if at most one of its sizes is unknown: that becomes -1 (infer).
2. Else the target is read element by element: a number, or the size of an axis of some value. An axis of the reshaped value
   that stays in its place becomes 0 (copy); one other unknown size becomes -1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from qconv.model.edit import Editor, set_attribute
from qconv.model.graph import attr_int, const_array

from .remove_noops import slice_arguments


@dataclass(frozen=True)
class Size:
    """The size of one axis of a value."""

    value: ir.Value
    axis: int


def static_reshape(model: ir.Model) -> int:
    """Give Reshape nodes a constant target; returns their number."""
    editor = Editor(model.graph)
    return sum(_settle(editor, node) for node in tuple(model.graph) if node.op_type == "Reshape" and not node.domain)


def _settle(editor: Editor, node: ir.Node) -> int:
    x, target = node.inputs[0], node.inputs[1]
    if x is None or target is None or const_array(target) is not None or attr_int(node, "allowzero", 0):
        return 0
    sizes = _inferred(node.outputs[0]) or [_copied(size, x, axis) for axis, size in enumerate(read_sizes(target) or ())]
    if not sizes:
        return 0
    unknown = [axis for axis, size in enumerate(sizes) if not isinstance(size, int)]
    if len(unknown) > 1 or (unknown and -1 in sizes):
        return 0
    constant = np.array([size if isinstance(size, int) else -1 for size in sizes], np.int64)
    node.replace_input_with(1, editor.constant(f"{node.name}/shape", constant))
    set_attribute(node, "allowzero", 0)
    return 1


def _inferred(value: ir.Value) -> list[int | Size] | None:
    """The sizes of a value, if at most one is unknown and none is 0, which would read as copy."""
    if value.shape is None or 0 in value.shape:
        return None
    sizes = [size if isinstance(size, int) else -1 for size in value.shape]
    return list(sizes) if sizes.count(-1) <= 1 else None


def _copied(element: int | Size, x: ir.Value, axis: int) -> int | Size:
    """The size 0, which copies, where x has the size on the same axis."""
    if isinstance(element, int) or x.shape is None or axis >= len(x.shape):
        return element
    if element.value is x and element.axis == axis:
        return 0
    here = x.shape[axis]
    there = element.value.shape[element.axis] if element.value.shape is not None else None
    named = isinstance(here, ir.SymbolicDim) and here.value is not None and here == there
    return 0 if named else element


def read_sizes(value: ir.Value | None) -> list[int | Size] | None:
    """The elements of a vector (or scalar) of integers, as far as they are numbers or sizes; None otherwise."""
    array = const_array(value)
    if array is not None:
        return [int(item) for item in array.reshape(-1)] if array.dtype.kind == "i" else None
    node = value.producer() if value is not None else None
    if node is None or node.domain or not node.inputs:
        return None
    match node.op_type:
        case "Shape":
            return _read_shape(node)
        case "Concat":
            parts = [read_sizes(part) for part in node.inputs]
            return None if None in parts else [size for part in parts if part is not None for size in part]
        case "Unsqueeze" | "Squeeze" | "Cast" | "Identity" | "Reshape":
            return read_sizes(node.inputs[0])
        case "Gather":
            sizes, indices = read_sizes(node.inputs[0]), const_array(node.inputs[1])
            return None if sizes is None or indices is None else [sizes[int(index)] for index in indices.reshape(-1)]
        case "Slice":
            sizes, (starts, ends, _, steps) = read_sizes(node.inputs[0]), slice_arguments(node)
            return (
                None
                if sizes is None or starts is None or ends is None or steps is None
                else sizes[starts[0] : ends[0] : steps[0]]
            )
    return None


def _read_shape(node: ir.Node) -> list[int | Size] | None:
    x = node.inputs[0]
    if x is None or x.shape is None:
        return None
    elements = [size if isinstance(size, int) else Size(x, axis) for axis, size in enumerate(x.shape)]
    return elements[attr_int(node, "start", 0) : attr_int(node, "end", len(elements))]
