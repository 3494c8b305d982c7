"""Write every mean over all positions of a channel as GlobalAveragePool.

1. AveragePool whose kernel is the whole map, without padding.
2. ReduceMean over all axes from 2 on; without keepdims a Squeeze follows. A Transpose before it that brings the channels to
   the end is read through.
3. AveragePool and MaxPool in ceil_mode whose last window ends with the padded map: floor gives the same.
4. The moments of a normalization over three dimensions stay as they are: they are no pooling, and are recognised as such.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from qconv.model.edit import Editor
from qconv.model.graph import attr_int, attr_ints, attr_str, const_array, is_float


def normalize_pool(model: ir.Model) -> int:
    """Write spatial means as GlobalAveragePool; returns their number."""
    editor = Editor(model.graph)
    return sum(_normalize(editor, node) for node in tuple(model.graph) if not node.domain)


def _normalize(editor: Editor, node: ir.Node) -> int:
    if node.op_type == "AveragePool" and _pools_all(node):
        editor.rewrite(node, "GlobalAveragePool", [node.inputs[0]])
        return 1
    if node.op_type in ("AveragePool", "MaxPool") and attr_int(node, "ceil_mode", 0) and _fills(node):
        node.attributes.pop("ceil_mode")
        return 1
    return _rewrite_mean(editor, node) if node.op_type == "ReduceMean" else 0


def _pools_all(node: ir.Node) -> bool:
    x, kernel = node.inputs[0], attr_ints(node, "kernel_shape", ())
    padded = any(attr_ints(node, "pads", ())) or attr_str(node, "auto_pad", "NOTSET") not in ("NOTSET", "VALID")
    if x is None or x.shape is None or padded or not set(attr_ints(node, "dilations", (1,))) <= {1}:
        return False
    return list(x.shape)[2:] == kernel


def _fills(node: ir.Node) -> bool:
    """Whether the windows of a pool end where its padded map ends."""
    x, kernel = node.inputs[0], attr_ints(node, "kernel_shape", ())
    rank = len(kernel)
    if x is None or x.shape is None or attr_str(node, "auto_pad", "NOTSET") != "NOTSET" or len(x.shape) != rank + 2:
        return False
    sizes, pads = list(x.shape)[2:], attr_ints(node, "pads", [0] * 2 * rank)
    strides, dilations = attr_ints(node, "strides", [1] * rank), attr_ints(node, "dilations", [1] * rank)
    for axis, size in enumerate(sizes):
        reach = dilations[axis] * (kernel[axis] - 1) + 1
        if not isinstance(size, int) or (size + pads[axis] + pads[axis + rank] - reach) % strides[axis]:
            return False
    return True


def _rewrite_mean(editor: Editor, node: ir.Node) -> int:
    x, axes = node.inputs[0], const_array(node.inputs[1]) if len(node.inputs) > 1 else None
    if x is None or x.shape is None or axes is None or not is_float(x) or len(x.shape) < 3:
        return 0
    rank, keeps = len(x.shape), bool(attr_int(node, "keepdims", 1))
    reduced = {int(axis) % rank for axis in axes}
    maker = x.producer()
    if not keeps and maker is not None and maker.op_type == "Transpose" and maker.inputs[0] is not None:
        perm = attr_ints(maker, "perm", range(rank)[::-1])
        if [perm[axis] for axis in range(rank) if axis not in reduced] == [0, 1]:
            x, reduced = maker.inputs[0], {perm[axis] for axis in reduced}
    if reduced != set(range(2, rank)) or x.shape is None or (rank == 3 and _is_moment(node, x)):
        return 0
    if keeps:
        editor.rewrite(node, "GlobalAveragePool", [x])
        return 1
    shape = ir.Shape([*list(x.shape)[:2], *[1] * (rank - 2)])
    pooled = editor.insert_before(node, "GlobalAveragePool", [x], name=f"{node.name}/squeeze", shape=shape, main=True)
    spatial = editor.constant(f"{node.name}/axes", np.arange(2, rank, dtype=np.int64))
    editor.rewrite(node, "Squeeze", [pooled, spatial])
    return 1


def _is_moment(node: ir.Node, x: ir.Value) -> bool:
    """Whether a mean is taken for a normalization: it is subtracted from what it is taken of, or is a mean of squares."""
    maker = x.producer()
    squares = maker is not None and (maker.op_type == "Pow" or (maker.op_type == "Mul" and len(set(maker.inputs)) == 1))
    return squares or any(user.op_type == "Sub" and x in user.inputs for user in node.outputs[0].consumers())
