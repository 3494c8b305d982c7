"""Numbers that meet a column [.., 1] are written with its rank.

    Div(column [.., R, 1], number [])        becomes        Div(column [.., R, 1], number [1, .., 1])

For operands of different rank onnxruntime goes through a column one element at a time: 3,136 of them take 5 times as long.
"""

from __future__ import annotations

import onnx_ir as ir

from qconv.integer.metadata import Meaning
from qconv.model.graph import const_array
from qconv.model.names import Names
from qconv.tuning.constants import replace_constant

_OPERATORS = ("Add", "Div", "Max", "Min", "Mul", "Sub")


def scalars_of_columns(graph: ir.Graph, names: Names, meanings: dict[ir.Node, Meaning]) -> int:
    """Gives numbers the rank of the columns that they meet, in place; how many got another rank."""
    return sum(_give_rank(node, names) for node in list(graph) if node.op_type in _OPERATORS and not node.domain)


def _give_rank(node: ir.Node, names: Names) -> int:
    if len(node.inputs) != 2 or (value := node.outputs[0]).shape is None or len(value.shape) < 2 or value.shape[-1] != 1:
        return 0
    numbers = {place: array for place, operand in enumerate(node.inputs) if (array := const_array(operand)) is not None}
    small = {place: array for place, array in numbers.items() if array.size == 1 and array.ndim < len(value.shape)}
    for place, array in small.items():
        replace_constant(node, place, names, array.reshape([1] * len(value.shape)))
    return len(small)
