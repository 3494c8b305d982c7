"""J^T g of what moves, joins or picks elements; what picks is transposed by adding into the places that were picked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from onnx_ir.tape import Tape

from qconv.autodiff.rule import Parts, Rule, constant, like, operand
from qconv.model.graph import attr_int, attr_ints, attr_str


def _same(tape: Tape, node: ir.Node, gradient: ir.Value, wanted: Sequence[int]) -> Parts:
    if 0 in wanted:
        yield 0, gradient


def _reshaped(tape: Tape, node: ir.Node, gradient: ir.Value, wanted: Sequence[int]) -> Parts:
    if 0 in wanted:
        yield 0, like(tape, gradient, operand(node))


def _transpose(tape: Tape, node: ir.Node, gradient: ir.Value, wanted: Sequence[int]) -> Parts:
    perm = attr_ints(node, "perm", [])
    yield 0, tape.op("Transpose", [gradient], {"perm": [int(i) for i in np.argsort(perm)]} if perm else {})


def _concat(tape: Tape, node: ir.Node, gradient: ir.Value, wanted: Sequence[int]) -> Parts:
    axis = attr_int(node, "axis", 0)
    place = constant(tape, [axis], np.int64)
    sizes = [tape.op("Gather", [tape.op("Shape", [value]), place]) for value in node.inputs]
    lengths = tape.op("Concat", sizes, {"axis": 0})
    parts = tape.op_multi_out("Split", [gradient, lengths], {"axis": axis}, num_outputs=len(sizes))
    yield from ((index, parts[index]) for index in wanted)


def _pad(tape: Tape, node: ir.Node, gradient: ir.Value, wanted: Sequence[int]) -> Parts:
    if wanted[:1] == [0] and attr_str(node, "mode", "constant") == "constant" and len(node.inputs) < 4:
        yield 0, tape.op("Pad", [gradient, tape.op("Neg", [operand(node, 1)])])


def _picked(tape: Tape, node: ir.Node, gradient: ir.Value, wanted: Sequence[int]) -> Parts:
    """Slice and nearest Resize: the operator itself, applied to the numbers of its elements, tells which were picked."""
    if wanted[:1] != [0] or (node.op_type == "Resize" and attr_str(node, "mode", "nearest") != "nearest"):
        return
    zero, one = constant(tape, 0, np.int32), constant(tape, 1, np.int32)
    count = tape.op("Cast", [tape.op("Size", [operand(node)])], {"to": ir.DataType.INT32})
    numbers = like(tape, tape.op("Range", [zero, count, one]), operand(node))
    attributes = {name: attribute.value for name, attribute in node.attributes.items()}
    yield 0, _put(tape, tape.op(node.op_type, [numbers, *node.inputs[1:]], attributes), gradient, operand(node))


def _max_pool(tape: Tape, node: ir.Node, gradient: ir.Value, wanted: Sequence[int]) -> Parts:
    attributes = {name: attribute.value for name, attribute in node.attributes.items()}
    _, places = tape.op_multi_out("MaxPool", [operand(node)], attributes, num_outputs=2)
    yield 0, _put(tape, places, gradient, operand(node))


def _put(tape: Tape, places: ir.Value, gradient: ir.Value, value: ir.Value) -> ir.Value:
    """Zeros in the shape of `value`, with the gradient added at `places` of its elements in a row."""
    row = constant(tape, [-1], np.int64)
    size = tape.op("Reshape", [tape.op("Size", [value]), row])
    zeros = tape.op("ConstantOfShape", [size], {"value": ir.tensor(np.zeros(1, np.float32))})
    flat = [tape.op("Reshape", [part, row]) for part in (places, gradient)]
    return like(tape, tape.op("ScatterElements", [zeros, *flat], {"axis": 0, "reduction": "add"}), value)


PLACES: dict[str, Rule] = {
    **dict.fromkeys(("Identity", "Dropout"), _same),
    **dict.fromkeys(("Flatten", "Reshape", "Squeeze", "Unsqueeze"), _reshaped),
    **dict.fromkeys(("Resize", "Slice"), _picked),
    "Concat": _concat,
    "MaxPool": _max_pool,
    "Pad": _pad,
    "Transpose": _transpose,
}
