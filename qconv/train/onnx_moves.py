"""What torch calls the operators of ONNX that move elements, and their types: for each the function and its arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor
from torch.nn import functional

from qconv.errors import ModelError
from qconv.model.graph import attr_int, attr_ints, attr_str, const_array

from .sizes import expanded

Call = tuple[Any, tuple[Any, ...], dict[str, Any]]  # a function, its arguments, and those with names
Rule = Callable[[ir.Node], Call]
_TYPES = {
    int(ir.DataType.FLOAT): torch.float32, int(ir.DataType.INT64): torch.int64, int(ir.DataType.INT32): torch.int32,
    int(ir.DataType.BOOL): torch.bool,
}  # fmt: skip


def item(values: Any, index: int) -> Any:
    """One of several results."""
    return values[index]


def padded(x: Tensor, pads: list[int], value: float) -> Tensor:
    """Pads the last axes; `pads` are those of ONNX, all beginnings before all ends."""
    half = len(pads) // 2
    order = [pads[axis + half * end] for axis in reversed(range(half)) for end in (0, 1)]
    return functional.pad(x, order, value=value)


def _pad(node: ir.Node) -> Call:
    if attr_str(node, "mode", "constant") != "constant" or (len(node.inputs) > 3 and node.inputs[3] is not None):
        raise ModelError(f"node {node.name} (Pad) has a form that torch does not; train the network from its source")
    array = const_array(node.inputs[2]) if len(node.inputs) > 2 else None
    return padded, (node.inputs[0], ints(node, 1), 0.0 if array is None else float(array.reshape(-1)[0])), {}


def _reshape(node: ir.Node) -> Call:
    return _reshaped, (node.inputs[0], _sizes(node, 1)), {}


def _reshaped(x: Tensor, shape: list[int]) -> Tensor:
    return x.reshape([x.shape[axis] if isinstance(size, int) and size == 0 else size for axis, size in enumerate(shape)])


def _flattened(x: Tensor, axis: int) -> Tensor:
    return x.reshape(int(np.prod(x.shape[:axis])), -1)


def _flatten(node: ir.Node) -> Call:
    axis = attr_int(node, "axis", 1)
    return (torch.flatten, (node.inputs[0], 1), {}) if axis == 1 else (_flattened, (node.inputs[0], axis), {})


def _transpose(node: ir.Node) -> Call:
    return torch.permute, (node.inputs[0], attr_ints(node, "perm", [])), {}


def _concat(node: ir.Node) -> Call:
    return torch.cat, (list(node.inputs), attr_int(node, "axis", 0)), {}


def sliced(x: Tensor, starts: list[int], ends: list[int], axes: list[int], steps: list[int]) -> Tensor:
    """The part of a tensor that a Slice takes, forwards."""
    index: list[Any] = [slice(None)] * x.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        index[axis] = slice(start, min(end, 1 << 31), step)
    return x[tuple(index)]


def _slice(node: ir.Node) -> Call:
    starts, ends = ints(node, 1), ints(node, 2)
    axes = ints(node, 3) if len(node.inputs) > 3 and node.inputs[3] is not None else list(range(len(starts)))
    steps = ints(node, 4) if len(node.inputs) > 4 and node.inputs[4] is not None else [1] * len(starts)
    if min(steps, default=1) < 1:
        raise ModelError(f"node {node.name} (Slice) goes backwards, which torch does not; train the network from its source")
    return sliced, (node.inputs[0], starts, ends, axes, steps), {}


def _split(node: ir.Node) -> Call:
    axis, x = attr_int(node, "axis", 0), node.inputs[0]
    if len(node.inputs) > 1 and node.inputs[1] is not None:
        return torch.split, (x, ints(node, 1), axis), {}
    return torch.chunk, (x, len(node.outputs), axis), {}


def _squeeze(node: ir.Node) -> Call:
    return torch.squeeze, (node.inputs[0], tuple(ints(node, 1))), {}


def _unsqueezed(x: Tensor, axes: list[int]) -> Tensor:
    for axis in sorted(axes):
        x = x.unsqueeze(axis)
    return x


def _unsqueeze(node: ir.Node) -> Call:
    return _unsqueezed, (node.inputs[0], ints(node, 1)), {}


def _sizes(node: ir.Node, index: int) -> Any:
    """Sizes that a node takes: numbers, or the value that computes them."""
    return node.inputs[index] if const_array(node.inputs[index]) is None else ints(node, index)


def _expand(node: ir.Node) -> Call:
    return expanded, (node.inputs[0], _sizes(node, 1)), {}


def _taken(x: Tensor, index: Any, axis: int) -> Tensor:
    """Elements at places along an axis that are known: one, or several."""
    return x.select(axis, index) if isinstance(index, int) else x[(*[slice(None)] * (axis % x.ndim), index)]


def _looked_up(indices: Tensor, table: Tensor) -> Tensor:
    return table[indices]


def _gather(node: ir.Node) -> Call:
    """Of known places, or rows of a table at places that are computed."""
    axis, places = attr_int(node, "axis", 0), const_array(node.inputs[1])
    if places is not None:
        return _taken, (node.inputs[0], places.tolist(), axis), {}
    if axis or const_array(node.inputs[0]) is None:
        raise ModelError(f"node {node.name} (Gather) has places that are computed; train the network from its source")
    return _looked_up, (node.inputs[1], node.inputs[0]), {}


def _cast(node: ir.Node) -> Call:
    wanted = _TYPES.get(attr_int(node, "to", 0))
    if wanted is None:
        raise ModelError(f"node {node.name} (Cast) has a type that training has not; train the network from its source")
    return Tensor.to, (node.inputs[0], wanted), {}


def ints(node: ir.Node, index: int) -> list[int]:
    """The numbers of an input that is constant. Raises ModelError for one that is computed."""
    array = const_array(node.inputs[index])
    if array is None:
        raise ModelError(f"node {node.name} ({node.op_type}) computes its shape; train the network from its source")
    return [int(number) for number in array.reshape(-1)]


MOVES: Mapping[str, Rule] = {
    "Pad": _pad,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Transpose": _transpose,
    "Concat": _concat,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Expand": _expand,
    "Gather": _gather,
    "Cast": _cast,
}
PASSING_MOVES = (_flattened, _reshaped, _taken, _unsqueezed, expanded, item, padded, sliced)
