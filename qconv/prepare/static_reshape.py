"""Make the target of a Reshape constant where it is only computed to carry an unknown size along.

1. The inferred shape of the result is the target, if at most one of its sizes is unknown: that becomes -1 (infer).
2. Else the target is read element by element: a number, or the size of an axis of some value. An axis of the reshaped value
   that stays in its place becomes 0 (copy); one other unknown size becomes -1.
3. Where the target itself infers a size, and its other sizes hold all unknown ones of the reshaped value, the inferred size is a
   quotient of known numbers: [n, 3, 8, 8] as [n, 3, -1] is [n, 3, 64] for every n.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from qconv.model.edit import Editor, set_attribute
from qconv.model.graph import attr_int, const_array

from .remove_noops import slice_arguments
from .simplify import MADE_UP, infer_again

_MOST_ROUNDS = 64  # each settles what the one before made known; a handful in networks met so far


@dataclass(frozen=True)
class Size:
    """The size of one axis of a value."""

    value: ir.Value
    axis: int


def static_reshape(model: ir.Model) -> int:
    """Give Reshape nodes a constant target; returns their number. What one of them settles may settle others behind it."""
    editor, found = Editor(model.graph), 0
    for _ in range(_MOST_ROUNDS):
        settled = [node for node in tuple(model.graph) if not node.domain and _tell(editor, node)]
        if not settled:
            break
        found += sum(node.op_type == "Reshape" for node in settled)
        infer_again(model)
    return found


def _tell(editor: Editor, node: ir.Node) -> bool:
    """Whether more is known of the shape that a node gives than before."""
    return _settle(editor, node) if node.op_type == "Reshape" else node.op_type == "Expand" and _name_sizes(node)


def _name_sizes(node: ir.Node) -> bool:
    """Gives the result of an Expand the sizes that its target tells, where inference lost them."""
    x, sizes = node.inputs[0], read_sizes(node.inputs[1])
    if sizes is None or x is None or x.shape is None or not x.shape.is_static() or len(sizes) < len(x.shape):
        return False
    here = [1] * (len(sizes) - len(x.shape)) + list(x.shape.numpy())
    return _learn(node.outputs[0], [_dim(size) if one == 1 else one for one, size in zip(here, sizes, strict=True)])


def _settle(editor: Editor, node: ir.Node) -> bool:
    x, target = node.inputs[0], node.inputs[1]
    if x is None or target is None or attr_int(node, "allowzero", 0):
        return False
    wanted = _with_quotient(read_sizes(target) or [], x)
    if const_array(target) is not None:
        return _name(node, x, wanted)
    sizes = _inferred(node.outputs[0]) or [_copied(size, x, axis) for axis, size in enumerate(wanted)]
    if not sizes:
        return False
    unknown = [axis for axis, size in enumerate(sizes) if not isinstance(size, int)]
    if len(unknown) > 1 or (unknown and -1 in sizes):
        return False
    constant = np.array([size if isinstance(size, int) else -1 for size in sizes], np.int64)
    node.replace_input_with(1, editor.constant(f"{node.name}/shape", constant))
    set_attribute(node, "allowzero", 0)
    _name(node, x, wanted)
    return True


def _name(node: ir.Node, x: ir.Value, sizes: list[int | Size]) -> bool:
    """Gives the result of a Reshape these sizes, where all are told; whether that says more than inference did."""
    if not sizes or -1 in sizes or x.shape is None or any(not size and axis >= len(x.shape) for axis, size in enumerate(sizes)):
        return False
    return _learn(node.outputs[0], [_dim(x.shape[axis] if size == 0 else size) for axis, size in enumerate(sizes)])


def _learn(value: ir.Value, sizes: Sequence[int | ir.SymbolicDim]) -> bool:
    """Gives a value these sizes if one of them is a number or has a name where the present one is neither; whether it is so."""
    wrong = value.shape is None or len(value.shape) != len(sizes)  # as a graph's output may be declared
    more = wrong or any(_is_made_up(old) and not _is_made_up(new) for old, new in zip(value.shape or (), sizes, strict=True))
    if more:
        value.shape = ir.Shape(sizes)
    return more


def _dim(size: int | Size | ir.SymbolicDim) -> int | ir.SymbolicDim:
    """A size under the name that inference gave it, so that it is known again behind the Reshape."""
    if not isinstance(size, Size):
        return size
    dim = size.value.shape[size.axis] if size.value.shape is not None else None
    return ir.SymbolicDim(None) if dim is None else dim


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


def _with_quotient(sizes: list[int | Size], x: ir.Value) -> list[int | Size]:
    """The sizes with what -1 stands for in its place, where that follows from the other sizes and those of x."""
    if x.shape is None or sizes.count(-1) != 1:
        return sizes
    there: list[int | Size] = [size if isinstance(size, int) else Size(x, axis) for axis, size in enumerate(x.shape)]
    others = [there[axis] if size == 0 and axis < len(there) else size for axis, size in enumerate(sizes) if size != -1]
    unknown, named = ({_identity(size): size for size in some if isinstance(size, Size)} for some in (there, others))
    whole, part = (math.prod(size for size in some if isinstance(size, int)) for some in (there, others))
    if len(there) - len(unknown) != sum(isinstance(size, int) for size in there) or not part or named.keys() - unknown.keys():
        return sizes  # a size stands twice, or is another's
    left = [size for identity, size in unknown.items() if identity not in named]
    if whole % part or len(left) > 1 or (left and whole != part):
        return sizes
    return [(left[0] if left else whole // part) if size == -1 else size for size in sizes]


def _is_made_up(size: int | ir.SymbolicDim) -> bool:
    """Whether a size is unknown and bears no name but one of inference's own."""
    return not isinstance(size, int) and (size.value is None or str(size).startswith(MADE_UP))


def _identity(size: Size) -> tuple[str, int]:
    """What two sizes share if they are the same number whatever it is: the name that inference gives it, else their place."""
    dim = size.value.shape[size.axis] if size.value.shape is not None else None
    named = isinstance(dim, ir.SymbolicDim) and dim.value is not None
    return (str(dim), -1) if named else (str(size.value.name), size.axis)


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
        case "Mul" | "Div" | "Add" | "Sub":
            return _computed(node.op_type, read_sizes(node.inputs[0]), read_sizes(node.inputs[1]))
        case "Where":
            return _chosen(node)
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


def _computed(op_type: str, left: list[int | Size] | None, right: list[int | Size] | None) -> list[int | Size] | None:
    """A sum, difference, product or quotient of numbers, where all of them are known."""
    if left is None or right is None or len({len(left), len(right)} - {1}) > 1:
        return None
    count = max(len(left), len(right))
    pairs = zip(left * (count // len(left)), right * (count // len(right)), strict=True)
    found: list[int | Size] = []
    for one, other in pairs:
        if isinstance(one, Size) or isinstance(other, Size) or (op_type == "Div" and (one < 0 or other <= 0)):
            return None
        found.append({"Mul": one * other, "Div": one // max(other, 1), "Add": one + other, "Sub": one - other}[op_type])
    return found


def _chosen(node: ir.Node) -> list[int | Size] | None:
    """What a Where gives whose condition compares sizes with numbers that no size has, as exporters write `expand(-1)`."""
    test = node.inputs[0].producer() if node.inputs[0] is not None else None
    if test is None or test.op_type != "Equal":
        return None
    parts = [read_sizes(value) for value in (*test.inputs, *node.inputs[1:])]
    count = max(len(part or ()) for part in parts)
    found: list[int | Size] = []
    for row in zip(*((part or []) * (count if len(part or ()) == 1 else 1) for part in parts), strict=False):
        one, other, then, otherwise = row
        if isinstance(one, Size) and isinstance(other, Size):
            return None
        number = other if isinstance(one, Size) else one
        if (isinstance(one, Size) or isinstance(other, Size)) and isinstance(number, int) and number >= 0:
            return None
        found.append(then if one == other else otherwise)
    return found if len(found) == count else None


def _read_shape(node: ir.Node) -> list[int | Size] | None:
    x = node.inputs[0]
    if x is None or x.shape is None:
        return None
    elements = [size if isinstance(size, int) else Size(x, axis) for axis, size in enumerate(x.shape)]
    return elements[attr_int(node, "start", 0) : attr_int(node, "end", len(elements))]
