"""Products whose sums become codes of 16 bits (lower/matmul.py), as a float product of what pairs make of codes.

The nodes between the sums and the codes are an affine function of each column, which goes into the scales of the weight and into
a bias. The reals that it gives are not rounded where nothing but a DequantizeLinear reads the codes.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.model.edit import Editor
from qconv.model.graph import const_array
from qconv.model.traits import Trait, has_trait

_Doubles = NDArray[np.float64]
_HALF = 0.5  # of a code: what is added before a division cuts off


def unfuse_scores(model: ir.Model) -> int:
    """Rewrites them in a graph of pairs, in place; returns their number."""
    editor = Editor(model.graph)
    return sum(_write(editor, node) for node in tuple(model.graph) if node.op_type == "MatMulInteger")


def _write(editor: Editor, node: ir.Node) -> int:
    x, matrix, source = node.inputs[0], const_array(node.inputs[1]), _quantizer(node.inputs[0])
    found = None if matrix is None or matrix.ndim != 2 or source is None else _affine(node)
    if x is None or matrix is None or source is None or found is None:
        return 0
    last, gain, shift = found
    reader = next(iter(last.outputs[0].consumers()))
    step, x_scale = const_array(reader.inputs[1]), const_array(source.inputs[1])
    if step is None or x_scale is None:
        return 0
    columns, name = matrix.shape[1], str(last.name)
    scale = np.broadcast_to(gain * float(step) / float(x_scale), (columns,)).astype(np.float32)
    bias = np.broadcast_to(shift * float(step), (columns,)).astype(np.float32)
    weight = [node.inputs[1], editor.constant(f"{name}/scale", scale)]
    weight.append(editor.constant(f"{name}/zero_point", np.zeros(columns, np.int8)))
    reals = [
        editor.insert_before(last, "DequantizeLinear", inputs, axis, name=f"{name}/operand{place}")
        for place, (inputs, axis) in enumerate((([x, *source.inputs[1:3]], {}), (weight, {"axis": 1})))
    ]
    product = editor.insert_before(last, "MatMul", reals, name=f"{name}/product", shape=last.outputs[0].shape)
    result = [product, editor.constant(f"{name}/bias", bias)]
    if len(last.outputs[0].uses()) == 1 and has_trait(reader, Trait.DEQUANTIZES) and not last.outputs[0].is_graph_output():
        editor.rewrite(reader, "Add", result)
        editor.remove_unread([*_between(node, last), last])
        return 1
    total = editor.insert_before(last, "Add", result, name=f"{name}/real", shape=last.outputs[0].shape)
    spent = _between(node, last)
    editor.rewrite(last, "QuantizeLinear", [total, *reader.inputs[1:3]])
    editor.remove_unread(spent)
    return 1


def _between(first: ir.Node, last: ir.Node) -> list[ir.Node]:
    """The nodes from the first one on, each the only reader of the one before, without the last one."""
    found = [first]
    while (reader := next(iter(found[-1].outputs[0].consumers()))) is not last:
        found.append(reader)
    return found


def _quantizer(value: ir.Value | None) -> ir.Node | None:
    """The QuantizeLinear whose codes a tensor has, moved or pooled."""
    maker = None if value is None else value.producer()
    while maker is not None and has_trait(maker, Trait.MOVES | Trait.EXTREMES):
        maker = None if maker.inputs[0] is None else maker.inputs[0].producer()
    return maker if maker is not None and has_trait(maker, Trait.QUANTIZES) else None


def _affine(node: ir.Node) -> tuple[ir.Node, _Doubles, _Doubles] | None:
    """The Cast to 16 bits behind a product, with codes gain sum + shift by column; None where anything else reads the sums."""
    gain, shift, reader = np.ones(1), np.zeros(1), node
    while True:
        uses = reader.outputs[0].uses()
        if len(uses) != 1 or reader.outputs[0].is_graph_output():
            return None
        before, reader = reader, next(iter(uses)).node
        if has_trait(reader, Trait.CASTS):
            fine = reader.outputs[0].dtype == ir.DataType.INT16 and reader.outputs[0].uses()
            return (reader, gain, shift) if fine else None
        if reader.inputs[0] is not before.outputs[0]:
            return None
        if has_trait(reader, Trait.CLAMPS):
            continue
        number = const_array(reader.inputs[1])
        if number is None:
            return None
        match reader.op_type:
            case "Mul":
                gain, shift = gain * number, shift * number
            case "Div":
                gain, shift = gain / number, shift / number - (_HALF if shift.any() else 0.0)
            case "Add":
                shift = shift + number
            case _:
                return None
