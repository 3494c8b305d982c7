"""Write a Resize along some axes as one along all of them, which every version of onnxruntime takes between integers."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from qconv.model.edit import Editor
from qconv.model.graph import attr_ints, attr_str, const_array


def whole_resize(model: ir.Model) -> int:
    """Spell out the scales or sizes of all axes, where they are constants and the others known; returns the number of nodes."""
    editor = Editor(model.graph)
    return sum(_spell_out(editor, node) for node in tuple(model.graph) if node.op_type == "Resize" and not node.domain)


def _spell_out(editor: Editor, node: ir.Node) -> int:
    shape = node.inputs[0].shape if node.inputs[0] is not None else None
    if "axes" not in node.attributes or shape is None or attr_str(node, "keep_aspect_ratio_policy", "stretch") != "stretch":
        return 0
    if attr_str(node, "coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize":
        return 0
    axes = [axis % len(shape) for axis in attr_ints(node, "axes", ())]
    index = 3 if len(node.inputs) > 3 and node.inputs[3] is not None else 2
    given = const_array(node.inputs[index]) if len(node.inputs) > index else None
    others: list[float] = [1.0] * len(shape)
    if index == 3:
        if not all(isinstance(size, int) for axis, size in enumerate(shape) if axis not in axes):
            return 0
        others = [float(size) if isinstance(size, int) else 0.0 for size in shape]
    if given is None or given.size != len(axes):
        return 0
    whole = np.asarray(others, np.float64)
    whole[axes] = given
    node.attributes.pop("axes")
    editor.set_constant(node, index, whole.astype(given.dtype), "sizes" if index == 3 else "scales")
    return 1
