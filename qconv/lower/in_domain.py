"""Keeps a float function that has no value below zero from being asked there, because of rounding alone.

A square root that stays in float reads reals of codes, or what floats make of them: a small one of these may come out below
zero, and the root would be NaN where the float model has a number. A Relu before it changes nothing else.
"""

from __future__ import annotations

import onnx_ir as ir

from qconv.model.names import Names

_ROOTS = ("Sqrt",)


def keep_in_domain(graph: ir.Graph, names: Names) -> int:
    """Puts a Relu before each float root that reads rounded reals; returns their number."""
    rounded, roots = set[ir.Value](), list[ir.Node]()
    for node in graph:
        if node.op_type == "DequantizeLinear" or any(value in rounded for value in node.inputs):
            rounded.update(value for value in node.outputs if value.dtype is None or value.dtype.is_floating_point())
        if node.op_type in _ROOTS and not node.domain and node.inputs[0] in rounded:
            roots.append(node)
    for node in roots:
        value = node.inputs[0]
        assert value is not None
        bounded = ir.Value(name=names.fresh(f"{value.name}_bounded"), type=value.type, shape=value.shape)
        graph.insert_before(node, ir.Node("", "Relu", [value], outputs=[bounded], name=names.fresh_node(f"{node.name}/bound")))
        node.replace_input_with(0, bounded)
    return len(roots)
