"""Reshapes around products of matrices: what they read is known to have rows, and may stay as it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from qconv.model.graph import attr_int, const_array, sole_consumer
from qconv.model.names import Names
from qconv.tuning.constants import new_constant


def source_of_rows(graph: ir.Graph, names: Names, node: ir.Node, last: ir.Value) -> ir.Value | None:
    """What Reshape(x, [-1, K]) in front of a product makes rows of, as a tensor [.., K]; None where there is no such Reshape.

    That is x, or another Reshape of x, as of heads that are joined: to the leading sizes that the result `last` gets behind it.
    """
    rows = node.inputs[0]
    maker = None if rows is None else rows.producer()
    if maker is None or maker.op_type != "Reshape" or maker.domain:
        return None
    x, target = maker.inputs[0], const_array(maker.inputs[1])
    if x is None or x.shape is None or target is None or target.shape != (2,) or target[1] <= 0:
        return None
    return x if x.shape[-1] == target[1] else _reshaped_as(graph, names, node, x, int(target[1]), sole_consumer(last))


def _reshaped_as(
    graph: ir.Graph, names: Names, node: ir.Node, x: ir.Value, inner: int, behind: ir.Node | None
) -> ir.Value | None:
    """x with the leading sizes that a Reshape `behind` a product gives to its rows, where those are constants."""
    if behind is None or behind.op_type != "Reshape" or behind.outputs[0].shape is None:
        return None
    target, columns = const_array(behind.inputs[1]), node.outputs[0].shape
    if target is None or columns is None or not target.size or target[-1] != columns[-1] or not takes_any_shape(behind):
        return None
    shape = new_constant(graph, names, f"{node.name}_rows_shape", np.asarray([*target[:-1], inner], np.int64))
    result = ir.Value(name=names.fresh(f"{node.name}_rows"), type=x.type)
    result.shape = ir.Shape([*behind.outputs[0].shape[:-1], inner])
    graph.insert_before(node, ir.Node("", "Reshape", [x, shape], outputs=[result], name=names.fresh_node(f"{node.name}/rows")))
    return result


def goes_to_reshapes(value: ir.Value) -> bool:
    """Whether only Reshapes read a value, which take any shape of it."""
    return bool(value.uses()) and not value.is_graph_output() and all(map(takes_any_shape, value.consumers()))


def takes_any_shape(node: ir.Node) -> bool:
    """Whether a node is a Reshape that names all its sizes: a 0 would be one of its input's."""
    if node.op_type != "Reshape" or node.domain:
        return False
    target = node.inputs[1]
    maker = None if target is None else target.producer()
    parts = [target] if maker is None or maker.op_type != "Concat" else list(maker.inputs)
    return all((array := const_array(part)) is None or array.all() for part in parts)


def keeps_shape(node: ir.Node) -> bool:
    """Whether a Reshape is known to ask for the shape that its input has."""
    x, target = node.inputs[0], const_array(node.inputs[1])
    if x is None or x.shape is None:
        return False
    if target is None:
        return _asks_for_leading_sizes(node.inputs[1], x.shape)
    kept = -1 if attr_int(node, "allowzero", 0) else 0  # a 0 is the size that the input has at its place
    same = len(x.shape) == target.size and all(size in (-1, kept, known) for size, known in zip(target, x.shape, strict=True))
    return same and int((target == -1).sum()) <= 1


def _asks_for_leading_sizes(target: ir.Value | None, shape: ir.Shape) -> bool:
    """Whether a target is Concat(Shape(v)[:-1], [N]), and a shape has the sizes of v and N columns."""
    joined = None if target is None else target.producer()
    if joined is None or joined.op_type != "Concat" or len(joined.inputs) != 2 or joined.inputs[0] is None:
        return False
    measure, columns = joined.inputs[0].producer(), const_array(joined.inputs[1])
    if measure is None or measure.op_type != "Shape" or columns is None or list(columns) != [shape[-1]]:
        return False
    value = measure.inputs[0]
    whole = attr_int(measure, "start", 0) == 0 and attr_int(measure, "end", 0) == -1
    return whole and value is not None and value.shape is not None and _are_same(value.shape[:-1], shape[:-1])


def _are_same(a: Sequence[int | ir.SymbolicDim], b: Sequence[int | ir.SymbolicDim]) -> bool:
    """Whether sizes are known to be the same: numbers, or names of sizes."""
    known = all(isinstance(size, int) or size.value is not None for size in a)
    return known and len(a) == len(b) and all(left == right for left, right in zip(a, b, strict=True))
