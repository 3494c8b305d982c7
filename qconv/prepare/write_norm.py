"""A norm along any axes, written as one along the last: Transpose and Reshape bring them there and back."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.model.edit import Editor


def write_norm(
    editor: Editor, node: ir.Node, x: ir.Value, axes: Sequence[int], *, epsilon: float, centered: bool,
    factor: NDArray[np.floating] | None = None, shift: NDArray[np.floating] | None = None,
) -> bool:  # fmt: skip
    """Turn `node` into factor (x - mean) / sqrt(variance + epsilon) + shift along `axes` of x, or what an RMS norm has of it.

    `factor` and `shift` have one element, or one for each element along the axes, in their order. False where sizes
    that are needed are not known.
    """
    assert x.shape is not None
    rank = len(x.shape)
    kept = [axis for axis in range(rank) if axis not in axes]
    order, sizes = [*kept, *axes], [x.shape[axis] for axis in axes]
    known = [size for size in sizes if isinstance(size, int)]
    outer = [x.shape[axis] for axis in kept]
    flattens = len(axes) > 1
    if len(known) < len(sizes) or (flattens and sum(not isinstance(size, int) for size in outer) > 1):
        return False
    size, moves = math.prod(known), order != list(range(rank))
    op_type = "LayerNormalization" if centered else "SimplifiedLayerNormalization"
    value = x
    if moves:
        shape = ir.Shape([x.shape[axis] for axis in order])
        value = editor.insert_before(node, "Transpose", [x], {"perm": order}, name=f"{node.name}/to_rows", shape=shape)
    if flattens:
        rows = [size if isinstance(size, int) else -1 for size in outer] + [math.prod(known)]
        target = editor.constant(f"{node.name}/rows", np.asarray(rows, np.int64))
        shape = ir.Shape([*outer, math.prod(known)])
        value = editor.insert_before(node, "Reshape", [value, target], name=f"{node.name}/flatten", shape=shape)
    scale = np.broadcast_to(np.ones(1) if factor is None else factor.reshape(-1), (size,)).astype(np.float32)
    inputs = [value, editor.constant(f"{node.name}/scale", scale)]
    if shift is not None:
        inputs.append(editor.constant(f"{node.name}/shift", np.broadcast_to(shift.reshape(-1), (size,)).astype(np.float32)))
    attributes: dict[str, int | float] = {"axis": -1, "epsilon": epsilon}
    if not moves and not flattens:
        editor.rewrite(node, op_type, inputs, attributes)
        return True
    value = editor.insert_before(node, op_type, inputs, attributes, name=f"{node.name}/rows", shape=value.shape, main=True)
    if flattens:
        back = [size if isinstance(size, int) else -1 for size in outer] + known
        target = editor.constant(f"{node.name}/axes", np.asarray(back, np.int64))
        if not moves:
            editor.rewrite(node, "Reshape", [value, target])
            return True
        shape = ir.Shape([*outer, *known])
        value = editor.insert_before(node, "Reshape", [value, target], name=f"{node.name}/unflatten", shape=shape)
    editor.rewrite(node, "Transpose", [value], {"perm": [order.index(axis) for axis in range(rank)]})
    return True
