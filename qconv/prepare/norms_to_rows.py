"""Write the norms that are ops of their own as norms along the last axis.

LayerNormalization with axis < rank - 1    over several axes, flattened
InstanceNormalization                      over the positions of each channel, then a factor and a shift by channel
GroupNormalization                         over the channels of a group and their positions
RMSNormalization, LpNormalization(2)       no mean
MeanVarianceNormalization                  over its axes
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from qconv.model.edit import Editor
from qconv.model.formula import Steps, reduced
from qconv.model.graph import attr_float, attr_int, attr_ints, const_array

from .write_norm import write_norm

_NO_LENGTH = 1e-30  # a row of zeros stays one
_MVN_EPSILON = 1e-18  # the operator adds 1e-9 to the deviation


def norms_to_rows(model: ir.Model) -> int:
    """Rewrite every norm that is not along the last axis; returns their number."""
    editor = Editor(model.graph)
    return sum(_rewrite(editor, node) for node in tuple(model.graph))


def _rewrite(editor: Editor, node: ir.Node) -> int:
    x = node.inputs[0] if node.inputs else None
    if node.domain or x is None or x.shape is None or x.dtype != ir.DataType.FLOAT:
        return 0
    rank = len(x.shape)
    match node.op_type:
        case "LayerNormalization" | "RMSNormalization":
            return int(_layer_norm(editor, node, x, rank))
        case "InstanceNormalization":
            return int(_by_channel(editor, node, x, list(range(2, rank)), attr_float(node, "epsilon", 1e-5)))
        case "GroupNormalization":
            return int(_group_norm(editor, node, x, rank))
        case "LpNormalization" if attr_int(node, "p", 2) == 2:
            axis = attr_int(node, "axis", -1) % rank
            size = x.shape[axis]
            if not isinstance(size, int) or not size:
                return 0
            return int(write_norm(editor, node, x, [axis], epsilon=_NO_LENGTH, centered=False, factor=np.full(1, size**-0.5)))
        case "MeanVarianceNormalization":
            axes = attr_ints(node, "axes", [0, 2, 3])
            if not all(-rank <= axis < rank for axis in axes):
                return 0  # the default axes are those of a picture, and onnxruntime takes other tensors too
            whole = sorted({axis % rank for axis in axes})
            return int(write_norm(editor, node, x, whole, epsilon=_MVN_EPSILON, centered=True))
    return 0


def _layer_norm(editor: Editor, node: ir.Node, x: ir.Value, rank: int) -> bool:
    axis, centered = attr_int(node, "axis", -1) % rank, node.op_type == "LayerNormalization"
    if centered and axis == rank - 1:
        return False
    constants = [const_array(value) for value in node.inputs[1:] if value is not None]
    if any(output.uses() or output.is_graph_output() for output in node.outputs[1:]) or any(c is None for c in constants):
        return False
    size = math.prod(s if isinstance(s, int) else 0 for s in x.shape[axis:]) if x.shape is not None else 0
    factor, shift = (np.asarray(constants[i]) if i < len(constants) else None for i in (0, 1))
    if any(array is not None and array.size not in (1, size) for array in (factor, shift)):
        return False
    node.resize_outputs(1)
    axes, epsilon = list(range(axis, rank)), attr_float(node, "epsilon", 1e-5)
    return write_norm(editor, node, x, axes, epsilon=epsilon, centered=centered, factor=factor, shift=shift)


def _by_channel(editor: Editor, node: ir.Node, x: ir.Value, axes: list[int], epsilon: float) -> bool:
    """The norm in front, and a product and a sum by channel in the place of `node`."""
    factor, shift = (const_array(value) for value in node.inputs[1:3])
    if factor is None or shift is None or not axes:
        return False
    assert x.shape is not None
    kernel = [1] * (len(x.shape) - 2)
    norm = editor.insert_before(node, "Identity", [x], name=f"{node.name}/norm", shape=x.shape)
    maker = norm.producer()
    assert maker is not None
    if not write_norm(editor, maker, x, axes, epsilon=epsilon, centered=True):
        _spell_out(Steps(editor, maker), x, axes, epsilon)
    scale = editor.constant(f"{node.name}/scale", factor.reshape(-1, *kernel))
    scaled = editor.insert_before(node, "Mul", [norm, scale], name=f"{node.name}/scaled", shape=x.shape)
    editor.rewrite(node, "Add", [scaled, editor.constant(f"{node.name}/shift", shift.reshape(-1, *kernel))])
    return True


def _spell_out(steps: Steps, x: ir.Value, axes: list[int], epsilon: float) -> None:
    """(x - mean) (variance + epsilon)^-1/2, of rows whose size is not known."""
    shape, along = reduced(x.shape, axes), steps.constant(axes, np.int64)
    centered = steps("Sub", x, steps("ReduceMean", x, along, shape=shape, keepdims=1))
    variance = steps("ReduceMean", steps("Mul", centered, centered), along, shape=shape, keepdims=1)
    root = steps("Pow", steps("Add", variance, steps.constant(epsilon)), steps.constant(-0.5))
    steps.last("Mul", centered, root)


def _group_norm(editor: Editor, node: ir.Node, x: ir.Value, rank: int) -> bool:
    """[N, C, ...] as [N, groups, C / groups ...]: the norm over what is behind the groups."""
    steps = Steps(editor, node)
    groups, factor, shift = attr_int(node, "num_groups", 1), const_array(node.inputs[1]), const_array(node.inputs[2])
    if factor is None or shift is None or x.shape is None or factor.size != x.shape[1]:
        return False  # before opset 21 the factors belong to groups, and the converter does not raise them
    rows = ir.Shape([x.shape[0], groups, _size(list(x.shape)[1:], groups)])
    whole = steps("Reshape", x, steps.constant([0, groups, -1], np.int64), shape=rows)
    norm = editor.insert_before(node, "Identity", [whole], name=f"{node.name}/norm", shape=rows)
    maker = norm.producer()
    assert maker is not None
    epsilon = attr_float(node, "epsilon", 1e-5)
    if not write_norm(editor, maker, whole, [2], epsilon=epsilon, centered=True):
        _spell_out(Steps(editor, maker), whole, [2], epsilon)
    sizes = [size if isinstance(size, int) else -1 for size in x.shape]
    known = sizes.count(-1) < 2
    target = steps.constant(sizes, np.int64) if known else steps("Shape", x, shape=[rank], dtype=ir.DataType.INT64)
    joined = steps("Reshape", norm, target, shape=x.shape)
    kernel = [1] * (rank - 2)
    scaled = steps("Mul", joined, steps.constant(factor.reshape(-1, *kernel)))
    steps.last("Add", scaled, steps.constant(shift.reshape(-1, *kernel)))
    return True


def _size(sizes: list[int | ir.SymbolicDim], groups: int) -> int | None:
    """The elements of one group, or None where they are not known."""
    known = [size for size in sizes if isinstance(size, int)]
    return math.prod(known) // groups if len(known) == len(sizes) else None
