"""Products of rows whose sums stay in int32 read tensors as they are.

    Reshape(x, [-1, K]), MatMulInteger, steps by element, Reshape        becomes        MatMulInteger, steps by element, Reshape

A MatMulInteger takes a tensor of any rank. The Reshape behind it has nothing to do then where it gave back the rank of x, and
`merge_reshapes` drops it.
"""

from __future__ import annotations

import onnx_ir as ir

from qconv.integer.metadata import Meaning
from qconv.model.graph import const_array, sole_consumer
from qconv.model.names import Names
from qconv.tuning.rows import goes_to_reshapes, source_of_rows

_BY_ELEMENT = ("Add", "Cast", "Clip", "Div", "Max", "Min", "Mul", "Sub")


def lift_rows(graph: ir.Graph, names: Names, meanings: dict[ir.Node, Meaning]) -> int:
    """Takes Reshapes from in front of products of rows, in place; the number taken."""
    return sum(_lift(graph, node, names, meanings) for node in list(graph) if node.op_type == "MatMulInteger")


def _lift(graph: ir.Graph, node: ir.Node, names: Names, meanings: dict[ir.Node, Meaning]) -> int:
    steps = _steps_behind(node)
    last = steps[-1].outputs[0]
    if not goes_to_reshapes(last) or any(step in meanings for step in steps):
        return 0
    x = source_of_rows(graph, names, node, last)
    if x is None or x.shape is None:
        return 0
    node.replace_input_with(0, x)
    for step in steps:
        (output,) = step.outputs
        assert output.shape is not None
        output.shape = ir.Shape([*x.shape[:-1], output.shape[-1]])
    return 1


def _steps_behind(node: ir.Node) -> list[ir.Node]:
    """The product, and the steps by element behind it that read nothing else but numbers for all rows."""
    steps = [node]
    while (user := sole_consumer(steps[-1].outputs[0])) is not None and user.op_type in _BY_ELEMENT and _is_for_all_rows(user):
        steps.append(user)
    return steps


def _is_for_all_rows(node: ir.Node) -> bool:
    others = [const_array(value) for value in node.inputs[1:] if value is not None]
    return all(array is not None and array.ndim <= 1 for array in others)
