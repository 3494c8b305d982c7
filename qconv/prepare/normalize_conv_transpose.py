"""Bring ConvTranspose to the form that has integer kernels: two axes, no dilation, explicit padding.

dilations d      a kernel with d - 1 zeros between its taps
one axis         two, the first of size 1: Unsqueeze, ConvTranspose, Squeeze
output_shape     pads, where the sizes of the input are known
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from qconv.model.edit import Editor, set_attribute
from qconv.model.formula import Steps
from qconv.model.graph import attr_ints, attr_str, const_array

_LISTS = ("strides", "dilations", "output_padding", "kernel_shape")


def normalize_conv_transpose(model: ir.Model) -> int:
    """Rewrite every one that is not in this form; returns the number of changes."""
    editor = Editor(model.graph)
    nodes = [node for node in model.graph if node.op_type == "ConvTranspose" and not node.domain]
    return sum(_undilate(editor, node) + _pad(node) + _lift(editor, node) for node in nodes)


def _undilate(editor: Editor, node: ir.Node) -> int:
    weight, dilations = const_array(node.inputs[1]), attr_ints(node, "dilations", [])
    if weight is None or all(d == 1 for d in dilations):
        return 0
    kernel = [(k - 1) * d + 1 for k, d in zip(weight.shape[2:], dilations, strict=True)]
    spread = np.zeros((*weight.shape[:2], *kernel), weight.dtype)
    spread[(slice(None), slice(None), *(slice(None, None, d) for d in dilations))] = weight
    editor.set_constant(node, 1, spread, "weight")
    node.attributes.pop("dilations")
    set_attribute(node, "kernel_shape", kernel)
    return 1


def _pad(node: ir.Node) -> int:
    x, weight, wanted = node.inputs[0], const_array(node.inputs[1]), attr_ints(node, "output_shape", [])
    if not wanted or x is None or x.shape is None or weight is None:
        return 0
    rank = weight.ndim - 2
    sizes = [size for size in list(x.shape)[2:] if isinstance(size, int)]
    if len(sizes) < rank:
        return 0
    strides, more = attr_ints(node, "strides", [1] * rank), attr_ints(node, "output_padding", [0] * rank)
    whole = [s * (size - 1) + m + k for s, size, m, k in zip(strides, sizes, more, weight.shape[2:], strict=True)]
    totals = [max(0, a - b) for a, b in zip(whole, wanted[-rank:], strict=True)]
    halves = [total // 2 for total in totals]
    rest = [total - half for total, half in zip(totals, halves, strict=True)]
    upper = attr_str(node, "auto_pad", "NOTSET") == "SAME_UPPER"
    longer = [max(0, b - a) for a, b in zip(whole, wanted[-rank:], strict=True)]
    node.attributes.pop("output_shape")
    node.attributes.pop("auto_pad", None)
    set_attribute(node, "pads", [*halves, *rest] if upper else [*rest, *halves])
    if any(longer):
        set_attribute(node, "output_padding", [m + extra for m, extra in zip(more, longer, strict=True)])
    return 1


def _lift(editor: Editor, node: ir.Node) -> int:
    x, weight, y = node.inputs[0], const_array(node.inputs[1]), node.outputs[0]
    if x is None or x.shape is None or weight is None or weight.ndim != 3 or "auto_pad" in node.attributes:
        return 0
    steps = Steps(editor, node)
    axis = steps.constant([2], np.int64)
    deep = [*x.shape[:2], 1, *x.shape[2:]]
    shape = None if y.shape is None else [*y.shape[:2], 1, *y.shape[2:]]
    attributes = {a.name: a for a in node.attributes.values()}
    inputs = [
        steps("Unsqueeze", x, axis, shape=deep),
        editor.constant(f"{node.name}/weight", weight[:, :, None]),
        *node.inputs[2:],
    ]
    wide = editor.insert_before(
        node, "ConvTranspose", inputs, name=f"{node.name}/squeeze", shape=None if shape is None else ir.Shape(shape), main=True
    )
    maker = wide.producer()
    assert maker is not None
    for name, attribute in attributes.items():
        if name not in (*_LISTS, "pads"):
            maker.attributes[name] = attribute
    for name in _LISTS:
        if name in attributes:
            set_attribute(maker, name, [0 if name == "output_padding" else 1, *attributes[name].as_ints()])
    if "pads" in attributes:
        first, last = attributes["pads"].as_ints()
        set_attribute(maker, "pads", [0, first, 0, last])
    editor.rewrite(node, "Squeeze", [wide, axis])
    return 1
