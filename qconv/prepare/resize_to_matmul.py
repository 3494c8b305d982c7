"""Write a Resize that interpolates as products with constant matrices, one for each axis, which are integer as they stand.

Every element of the output is a weighted sum of those of the input along one axis after the other, so that for rows and columns

    y = A x B          A [height out, height], B [width, width out]

whatever the mode and the way of counting coordinates. The matrices are what the Resize itself makes of unit vectors.
Rows of large maps that grow by a whole factor are sums instead (resize_by_phases.py).
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.model.edit import Editor
from qconv.model.evaluate import run_float_node
from qconv.model.graph import attr_str, const_array
from qconv.prepare.resize_by_phases import phases_of, write_phases

_SCALES, _SIZES = 2, 3
_LARGEST = 4096  # elements of an axis; a matrix of more would be larger than most networks


def resize_to_matmul(model: ir.Model) -> int:
    """Replace linear and cubic Resizes of the last two axes whose sizes are known, or leave out what changes nothing."""
    editor = Editor(model.graph)
    return sum(_replace(editor, node) for node in tuple(model.graph) if node.op_type == "Resize" and not node.domain)


def _replace(editor: Editor, node: ir.Node) -> int:
    x, y = node.inputs[0], node.outputs[0]
    if attr_str(node, "mode", "nearest") == "nearest" or "axes" in node.attributes or x is None or x.dtype != ir.DataType.FLOAT:
        return 0
    if attr_str(node, "coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize":
        return 0
    if attr_str(node, "keep_aspect_ratio_policy", "stretch") != "stretch" or x.shape is None or y.shape is None:
        return 0
    rank, scales = len(x.shape), const_array(node.inputs[_SCALES]) if len(node.inputs) > _SCALES else None
    if scales is None and len(node.inputs) > _SCALES and node.inputs[_SCALES] is not None:
        return 0  # factors that are computed are not told by the sizes, as 0.6 of 4 elements are 2
    given = scales if scales is not None and scales.size == rank else None
    sizes = [(axis, x.shape[axis], y.shape[axis]) for axis in range(rank)]
    if rank < 3 or not all(_is_kept(size, given, rank) for size in sizes[:-2]):
        return 0
    matrices = []
    for axis, before, behind in sizes[-2:]:
        if not isinstance(before, int) or not isinstance(behind, int) or not 0 < max(before, behind) <= _LARGEST or not before:
            return 0
        matrix = _matrix(node, rank, axis, before, behind, None if given is None else float(given[axis]))
        matrices.append(None if matrix.shape[0] == matrix.shape[1] and (matrix == np.eye(len(matrix))).all() else matrix)
    return _write(editor, node, x, *matrices)


def _is_kept(size: tuple[int, object, object], scales: NDArray[np.floating] | None, rank: int) -> bool:
    axis, before, behind = size
    return before == behind if scales is None else bool(scales[axis] == 1.0)


def _matrix(node: ir.Node, rank: int, axis: int, before: int, behind: int, scale: float | None) -> NDArray[np.float32]:
    """What the Resize makes of unit vectors along one axis, [before, behind]."""
    shape = [before, *[1] * (rank - 1)]
    shape[axis] = before
    units = np.eye(before, dtype=np.float32).reshape(shape)
    if scale is None:
        sizes = np.asarray([behind if i == axis else size for i, size in enumerate(shape)], np.int64)
        arrays = [units, None, None, sizes]
    else:
        arrays = [units, None, np.asarray([scale if i == axis else 1.0 for i in range(rank)], np.float32)]
    return np.asarray(run_float_node(node, arrays)[0], np.float32).reshape(before, behind)


def _write(
    editor: Editor, node: ir.Node, x: ir.Value, rows: NDArray[np.float32] | None, columns: NDArray[np.float32] | None
) -> int:
    """The smaller tensor in between: rows first where they grow less than columns do."""
    steps = []
    if columns is not None:
        steps.append((columns.shape[1] / columns.shape[0], "columns", columns))
    if rows is not None:
        steps.append((rows.shape[1] / rows.shape[0], "rows", rows))
    if not steps:
        editor.bypass(node.outputs[0], x)
        return 1
    value = x
    steps.sort(key=lambda step: step[0])
    for number, (_, name, matrix) in enumerate(steps):
        phases = phases_of(matrix) if number == len(steps) - 1 and name == "rows" else None
        if phases is not None and write_phases(editor, node, value, phases):
            return 1
        constant = editor.constant(f"{node.name}/{name}", matrix if name == "columns" else np.ascontiguousarray(matrix.T))
        inputs = [value, constant] if name == "columns" else [constant, value]
        if number == len(steps) - 1:
            editor.rewrite(node, "MatMul", inputs)
            return 1
        assert value.shape is not None
        sizes = list(value.shape)
        sizes[-1 if name == "columns" else -2] = matrix.shape[1]
        value = editor.insert_before(node, "MatMul", inputs, name=f"{node.name}/{name}", shape=ir.Shape(sizes))
    return 0
