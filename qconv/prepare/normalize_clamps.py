"""Write every clamp to constant bounds as Relu or Clip, and clamps in a row as one.

    clamp(x; lo, hi) = min(max(x, lo), hi)
    Relu (0, inf)    Max(x, c) (c, inf)    Min(x, c) (-inf, c)    Clip (min, max)
    clamp(clamp(x; lo1, hi1); lo2, hi2) = clamp(x; clamp(lo1; lo2, hi2), clamp(hi1; lo2, hi2))

A Clip whose minimum is above its maximum gives the maximum, which is a clamp to that alone. The bounds are initializers; a bound
that float32 cannot pass is left out. A clamp whose value is also read elsewhere stays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from qconv.model.edit import Editor
from qconv.model.graph import attr_float, const_array, is_float, sole_consumer

_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Clamp:
    """min(max(x, lo), hi); infinite where there is no bound."""

    lo: float = -math.inf
    hi: float = math.inf

    def of(self, value: float) -> float:
        """The clamped value."""
        return min(max(value, self.lo), self.hi)

    def then(self, outer: Clamp) -> Clamp:
        """The clamp that does `outer` after `self`."""
        return Clamp(outer.of(self.lo), outer.of(self.hi))


def normalize_clamps(model: ir.Model) -> int:
    """Bring clamps to Relu and Clip and merge them; returns the number of nodes changed."""
    editor = Editor(model.graph)
    written = sum(_write(editor, node) for node in tuple(model.graph))
    return written + sum(_merge(editor, node) for node in tuple(model.graph))


def clamp_of(node: ir.Node | None) -> tuple[ir.Value, Clamp] | None:
    """The value that a node clamps and the bounds, or None if it is no clamp to constants."""
    if node is None or node.domain or not node.inputs:
        return None
    x = node.inputs[0]
    match node.op_type:
        case "Relu" if x is not None and is_float(x):
            return x, Clamp(lo=0.0)
        case "LeakyRelu" if x is not None and is_float(x) and attr_float(node, "alpha", 0.01) == 0:
            return x, Clamp(lo=0.0)
        case "Clip" if x is not None and is_float(x):
            return _of_clip(node, x)
        case "Max" | "Min":
            return _of_extremum(node)
    return None


def _of_clip(node: ir.Node, x: ir.Value) -> tuple[ir.Value, Clamp] | None:
    bounds = [-math.inf, math.inf]
    for index, value in enumerate(node.inputs[1:3]):
        array = const_array(value)
        if value is None:
            continue
        if array is None or np.isnan(array).any():
            return None
        bounds[index] = float(array.reshape(())) if abs(float(array.reshape(()))) < _LARGEST else bounds[index]
    return x, Clamp(min(bounds), bounds[1])


def _of_extremum(node: ir.Node) -> tuple[ir.Value, Clamp] | None:
    """Max or Min of one value and scalars that leave its shape as it is."""
    arrays = [const_array(value) for value in node.inputs]
    values = [value for value, array in zip(node.inputs, arrays, strict=True) if array is None]
    bounds = [array for array in arrays if array is not None]
    if len(values) != 1 or (x := values[0]) is None or x.shape is None or not is_float(x) or not bounds:
        return None
    if any(array.size != 1 or array.ndim > len(x.shape) or not np.isfinite(array).all() for array in bounds):
        return None
    scalars = [float(array.reshape(())) for array in bounds]
    return x, Clamp(lo=max(scalars)) if node.op_type == "Max" else Clamp(hi=min(scalars))


def _write(editor: Editor, node: ir.Node) -> int:
    found = clamp_of(node)
    if found is None or _is_written(node, found[1]):
        return 0
    return int(_put(editor, node, *found))


def _is_written(node: ir.Node, clamp: Clamp) -> bool:
    """Whether a node is already the op that `_put` would write."""
    wanted = "Relu" if clamp == Clamp(lo=0.0) else "Clip"
    bounds = [len(node.inputs) > index and node.inputs[index] is not None for index in (1, 2)]
    low = const_array(node.inputs[1]) if bounds[0] else None
    if low is not None and low.size and clamp.lo < float(low.reshape(())):
        return False
    return node.op_type == wanted == "Relu" or (
        node.op_type == wanted and clamp != Clamp() and bounds == [math.isfinite(clamp.lo), math.isfinite(clamp.hi)]
    )


def _put(editor: Editor, node: ir.Node, x: ir.Value, clamp: Clamp) -> bool:
    """Make a node compute clamp(x); False where nothing can be changed."""
    if clamp == Clamp():
        return editor.bypass(node.outputs[0], x)
    if clamp == Clamp(lo=0.0):
        editor.rewrite(node, "Relu", [x])
        return True
    inputs: list[ir.Value | None] = [x]
    for bound, name in ((clamp.lo, "min"), (clamp.hi, "max")):
        inputs.append(editor.constant(f"{node.name}/{name}", np.array(bound, np.float32)) if math.isfinite(bound) else None)
    editor.rewrite(node, "Clip", inputs if inputs[2] is not None else inputs[:2])
    return True


def _merge(editor: Editor, node: ir.Node) -> int:
    """Let an outer clamp do the work of the one before it."""
    outer = clamp_of(node)
    inner = clamp_of(outer[0].producer()) if outer is not None else None
    if outer is None or inner is None or sole_consumer(outer[0]) is not node:
        return 0
    before = outer[0].producer()
    assert before is not None
    if before.graph is not node.graph or not _put(editor, node, inner[0], inner[1].then(outer[1])):
        return 0
    editor.remove_unread([before])
    return 1
