"""A few nodes in front of one, written as the formula that they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import ArrayLike

from qconv.model.edit import Attribute, Editor
from qconv.model.graph import is_float

_Shape = Sequence[int | str | ir.SymbolicDim | None]


class Steps:
    """Nodes that are inserted in front of `anchor`; the last one takes its place."""

    def __init__(self, editor: Editor, anchor: ir.Node) -> None:
        self._editor, self._anchor, self._count = editor, anchor, 0

    def constant(self, values: ArrayLike, dtype: type[np.generic] = np.float32) -> ir.Value:
        """A constant of the formula."""
        return self._editor.constant(f"{self._anchor.name}/constant", np.asarray(values, dtype))

    def __call__(
        self, op_type: str, *inputs: ir.Value | None, shape: _Shape | ir.Shape | None = None,
        dtype: ir.DataType = ir.DataType.FLOAT, **attributes: Attribute,
    ) -> ir.Value:  # fmt: skip
        """One node. Its shape is that of its first input, broadcast with the others where both are known, unless given."""
        self._count += 1
        name = f"{self._anchor.name}/{op_type.lower()}{self._count}"
        sizes = _broadcast(inputs) if shape is None else ir.Shape(shape)
        return self._editor.insert_before(self._anchor, op_type, inputs, attributes, name=name, shape=sizes, dtype=dtype)

    def hand_over(self, old: ir.Value, new: ir.Value) -> None:
        """Lets all that read `old`, a further output of the anchor, read `new`, which takes its name."""
        name = old.name
        old.replace_all_uses_with(new, replace_graph_outputs=True)
        old.name, new.name = f"{name}/replaced", name

    def last(self, op_type: str, *inputs: ir.Value | None, **attributes: Attribute) -> int:
        """Turns the anchor into the last node of the formula; returns 1, the number of changes."""
        self._anchor.domain = ""
        self._anchor.resize_outputs(1)
        self._editor.rewrite(self._anchor, op_type, inputs, attributes)
        return 1


Formula = Callable[[ir.Node, ir.Value, Steps], int]
"""Writes the formula of a node whose first input is the given one; returns the number of changes, 0 where it has none."""


def rewrite_by(formulas: Mapping[str, Formula], model: ir.Model) -> int:
    """Rewrites the standard's operators on reals of known rank by their formulas; returns the number of changes."""
    editor, count = Editor(model.graph), 0
    for node in tuple(model.graph):
        formula = formulas.get(node.op_type) if not node.domain else None
        x = node.inputs[0] if node.inputs else None
        if formula is not None and x is not None and is_float(x) and x.shape is not None:
            count += formula(node, x, Steps(editor, node))
    return count


def _broadcast(inputs: Sequence[ir.Value | None]) -> ir.Shape | None:
    """The shape of a result by element."""
    shapes = [value.shape for value in inputs if value is not None]
    if not shapes or any(shape is None for shape in shapes):
        return None
    known: list[list[Any]] = [list(shape) for shape in shapes if shape is not None]
    rank = max(len(shape) for shape in known)
    padded = [[1] * (rank - len(shape)) + shape for shape in known]
    return ir.Shape([next((size for size in sizes if size != 1), 1) for sizes in zip(*padded, strict=True)])


def reduced(shape: ir.Shape | None, axes: Sequence[int], *, keep: bool = True) -> ir.Shape | None:
    """The shape of a reduction along axes."""
    if shape is None:
        return None
    chosen = {axis % len(shape) for axis in axes}
    sizes = [1 if axis in chosen else size for axis, size in enumerate(shape) if keep or axis not in chosen]
    return ir.Shape(sizes)
