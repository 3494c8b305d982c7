"""Write a layer whose outputs are of unlike size, and are taken apart behind it, as a layer for each part.

    y, z = Split(W x + b)     becomes     y = W_0 x + b_0,  z = W_1 x + b_1

where the weights of one part are many times those of the other: in the one tensor that both are in, the small one would have
few codes. `take_apart` leads the parts past the Concat that this leaves. The number of products is the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.model.edit import Editor
from qconv.model.graph import attr_int, is_float, remember_form, sole_consumer

from .affine import constant_operand
from .joined_parts import Joined, Part, shape_of
from .layers import Layer, layer_of

_UNLIKE = 16.0  # times, with which the smaller part has 256 / 16 codes
_JUMP = 4.0  # from one channel to the next at least, where two such parts meet


@dataclass(frozen=True)
class _Wide:
    """A layer, the Add of its bias where that stands behind it, its bias either way, and the axis of its channels."""

    layer: Layer
    add: ir.Node | None
    bias: NDArray[np.floating] | None
    axis: int

    @property
    def end(self) -> ir.Value:
        """The value that the layer gives."""
        return (self.add or self.layer.node).outputs[0]

    @property
    def rows_first(self) -> bool:
        """Whether the first axis of the weight counts output channels, and not the last."""
        return self.layer.node.op_type == "Conv" or bool(attr_int(self.layer.node, "transB", 0))


def split_layers(model: ir.Model) -> int:
    """Splits the layers whose parts are that unlike; returns their number."""
    editor = Editor(model.graph)
    return sum(_split(editor, found) for node in tuple(model.graph) if (found := _of(node)) is not None)


def _of(node: ir.Node) -> _Wide | None:
    layer = layer_of(node)
    if layer is None or layer.group != 1 or not (node.op_type == "Conv" or layer.weight.ndim == 2):
        return None
    add = sole_consumer(node.outputs[0]) if node.op_type == "MatMul" else None
    row = constant_operand(add)[1] if add is not None and add.op_type == "Add" and add.graph is node.graph else None
    fits = row is not None and row.size == layer.channels and row.shape[-1:] == (layer.channels,)
    axis = layer.axis_of(node.outputs[0])
    if axis is None:
        return None
    found = _Wide(layer, add, row.reshape(-1), axis) if fits and row is not None else _Wide(layer, None, layer.bias, axis)
    shape = found.end.shape
    return found if shape is not None and axis < len(shape) and shape[axis] == layer.channels else None


def _split(editor: Editor, wide: _Wide) -> int:
    sizes = _magnitudes(wide)
    cuts = [cut for cut in _jumps(sizes) if _comes_apart(wide.end, _halves(wide, cut))]
    runs = _runs(sizes, cuts)
    if len(runs) < 2:
        return 0
    parts = [_part(editor, wide, number, *run) for number, run in enumerate(runs)]
    last = wide.add or wide.layer.node
    last.name = f"{wide.layer.node.name}/joined"
    editor.rewrite(last, "Concat", parts, {"axis": wide.axis})
    if wide.add is not None:
        editor.remove_unread([wide.layer.node])
    return 1


def _magnitudes(wide: _Wide) -> NDArray[np.float64]:
    """How large each channel gets on inputs of about one."""
    weight = wide.layer.weight if wide.rows_first else wide.layer.weight.T
    squares = np.square(weight.astype(np.float64))
    sizes: NDArray[np.float64] = np.sqrt(squares.sum(axis=tuple(range(1, squares.ndim))))
    return sizes if wide.bias is None else sizes + np.abs(wide.bias.astype(np.float64))


def _jumps(sizes: NDArray[np.float64]) -> list[int]:
    """The channels that differ much in size from the one before."""
    there = np.maximum(sizes, max(float(sizes.max(initial=0.0)), 1e-30) * 1e-9)
    return [int(place) + 1 for place in np.flatnonzero(np.abs(np.diff(np.log(there))) > np.log(_JUMP))]


def _halves(wide: _Wide, cut: int) -> Joined:
    shape = shape_of(wide.end)
    sizes = (cut, wide.layer.channels - cut)
    return Joined(tuple(Part(wide.end, (*shape[: wide.axis], n, *shape[wide.axis + 1 :])) for n in sizes), wide.axis)


def _comes_apart(value: ir.Value, halves: Joined) -> bool:
    """Whether all that reads a tensor takes one of the two parts of it, behind nodes that only move elements."""
    if value.is_graph_output() or not value.uses():
        return False
    for user, index in value.uses():
        behind = halves.moved(user) if index == 0 and not user.domain else [None]
        for output, found in zip(user.outputs, behind, strict=False):
            if found is None or not is_float(output) or (len(found.parts) > 1 and not _comes_apart(output, found)):
                return False
    return True


def _runs(sizes: NDArray[np.float64], cuts: list[int]) -> list[tuple[int, int]]:
    """The channels from one cut to the next, without the cuts between parts that are not so unlike."""
    ends = [0, *cuts, len(sizes)]
    runs: list[tuple[int, int]] = []
    for low, high in pairwise(ends):
        if runs:
            pair = [float(sizes[slice(*run)].max()) for run in (runs[-1], (low, high))]
            if max(pair) <= _UNLIKE * min(pair):
                low = runs.pop()[0]
        runs.append((low, high))
    return runs


def _part(editor: Editor, wide: _Wide, number: int, low: int, high: int) -> ir.Value:
    """The layer of some of the channels, as the whole one is written."""
    node, weight = wide.layer.node, wide.layer.weight
    name, shape = f"{node.name}/part{number}", shape_of(wide.end)
    part = weight[low:high] if wide.rows_first else weight[..., low:high]
    bias = None if wide.bias is None else np.ascontiguousarray(wide.bias[low:high])
    inputs = [node.inputs[0], editor.constant(f"{name}/weight", np.ascontiguousarray(part))]
    if bias is not None and wide.add is None:
        inputs.append(editor.constant(f"{name}/bias", bias))
    own = ir.Shape([*shape[: wide.axis], high - low, *shape[wide.axis + 1 :]])
    value = editor.insert_before(node, node.op_type, inputs, {}, name=name, shape=own)
    maker = value.producer()
    assert maker is not None
    maker.attributes.update(node.attributes)
    remember_form(maker, str(node.name))
    if bias is None or wide.add is None:
        return value
    row = editor.constant(f"{name}/bias", bias)
    return editor.insert_before(wide.add, "Add", [value, row], name=f"{name}/add", shape=own)
