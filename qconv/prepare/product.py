"""A value as a constant times other values, read through Mul, and Div by a constant."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from qconv.model.edit import Editor
from qconv.model.given import is_given
from qconv.model.graph import sole_consumer

from .affine import affine_of


def product_of(node: ir.Node) -> tuple[float, list[ir.Value]] | None:
    """The constant and the values whose product a node is, inner products included that nothing else reads; or None."""
    factors = _factors(node)
    if factors is None:
        return None
    constant, values = factors[0], list[ir.Value]()
    for value in factors[1]:
        maker = value.producer()
        inner = product_of(maker) if maker is not None and sole_consumer(value) is not None else None
        constant *= 1.0 if inner is None else inner[0]
        values += [value] if inner is None else inner[1]
    return constant, values


def scaled(value: ir.Value) -> tuple[float, list[ir.Value]]:
    """A value as the product that its node computes, or as itself."""
    maker = value.producer()
    return (product_of(maker) if maker is not None else None) or (1.0, [value])


def readings(editor: Editor, node: ir.Node) -> Iterator[tuple[float, ir.Value, ir.Value]]:
    """(constant, x, gate) both ways, if a node of the main graph is a constant times two values."""
    product = product_of(node) if node.graph is editor.graph else None
    if product is not None and len(product[1]) == 2:
        constant, (a, b) = product
        yield from ((constant, a, b), (constant, b, a))


def _factors(node: ir.Node) -> tuple[float, list[ir.Value]] | None:
    """The constant and the values that one node multiplies, or None if it is no product."""
    step = affine_of(node)
    if step is not None:
        plain = node.op_type in ("Mul", "Div") and step[1].axis is None and not step[1].shifts
        return (float(step[1].scale[0]), [step[0]]) if plain else None
    values = [value for value in node.inputs if value is not None]
    return (1.0, values) if node.op_type == "Mul" and not node.domain and len(values) == 2 else None


def is_rounded_within(node: ir.Node, x: ir.Value) -> bool:
    """Whether the parameters of some value between x and the output of a node are given, so that it has codes of its own."""
    before = [value for value in node.inputs if value is not None and value is not x]
    makers = (value.producer() for value in before)
    return any(map(is_given, before)) or any(maker is not None and is_rounded_within(maker, x) for maker in makers)


def replace_by(editor: Editor, node: ir.Node, op_type: str, x: ir.Value, attributes: dict[str, str] | None = None) -> None:
    """Turn a node into a function of x, and remove what then computes nothing."""
    before = [value.producer() for value in node.inputs if value is not None]
    editor.rewrite(node, op_type, [x], attributes)
    remove_dead(editor, before)


def remove_dead(editor: Editor, nodes: list[ir.Node | None]) -> None:
    """Remove what nothing reads any more, and what only that read."""
    for node in nodes:
        if (
            node is None
            or node.graph is not editor.graph
            or any(value.uses() or value.is_graph_output() for value in node.outputs)
        ):
            continue
        before = [value.producer() for value in node.inputs if value is not None]
        editor.graph.remove(node, safe=True)
        remove_dead(editor, before)
