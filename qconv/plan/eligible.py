"""Which nodes become integer, and why the others stay in float.

A node stays in float when the user excludes it, when the op table has no row for it, or when its row refuses its form. What has
only float nodes around it follows: integers would only add error there. Who prefers speed has in float what is much slower in
integers, too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import onnx_ir as ir

from qconv.config import Preference
from qconv.model.graph import const_array, is_float
from qconv.model.measured import measured_reals, only_measures
from qconv.model.traits import Trait, has_trait
from qconv.ops.op_table import Role, reads_integers, role_of, spec_of
from qconv.ops.refusals import without_row
from qconv.plan.patterns import nodes_of
from qconv.plan.places import WHY as PLACES
from qconv.plan.places import decides_places
from qconv.sentences import some_of

_OTHER_FLOATS = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE)
EXCLUDED = "excluded"


def float_nodes(graph: ir.Graph, exclude: Sequence[str] = (), prefer: Preference = "integer") -> dict[str, str]:
    """Node name -> the reason why it stays in float, in graph order. Nodes without float tensors are not listed.

    To `prefer` speed is to leave in float what is much slower in integers.
    Raises UsageError when a pattern of `exclude` matches no node.
    """
    excluded = {pattern: nodes_of(graph, pattern) for pattern in exclude}
    reasons: dict[str, str] = {}
    measured, places = measured_reals(graph), decides_places(graph)
    for node in graph:
        if only_measures(node, measured):
            continue
        reason = _reason(node, excluded) or (
            PLACES if node in places and not is_border_cast(node) else _slow(node) if prefer == "speed" else None
        )
        reasons |= {} if reason is None else {str(node.name): reason}
    _follow_neighbours(graph, reasons)
    return {str(node.name): reasons[str(node.name)] for node in graph if node.name in reasons}


def no_integer_form(node: ir.Node) -> str | None:
    """Why a node by itself has to stay in float; None where it can become integer, or has no float tensors."""
    return _reason(node, {})


def touches_float(node: ir.Node) -> bool:
    """Whether a node reads or writes a float tensor, itself or in a subgraph."""
    if any(value is not None and is_float(value) for value in (*node.inputs, *node.outputs)):
        return True
    subgraphs = (
        g for a in node.attributes.values() if a.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for g in _graphs(a)
    )
    return any(touches_float(inner) for graph in subgraphs for inner in graph)


def is_border_cast(node: ir.Node) -> bool:
    """Whether a node only turns an input of another type into the reals that are quantized next, or reals into such an output.

    So does one that makes integers of an input's reals, as of tokens in float32.
    """
    value = node.inputs[0] if has_trait(node, Trait.CASTS) else None
    if value is None:
        return False
    output = node.outputs[0]
    if value.is_graph_input() and is_float(value):
        return output.dtype is not None and output.dtype.is_integer()
    return value.is_graph_input() or (output.is_graph_output() and output.dtype in _OTHER_FLOATS)


def between(node: ir.Node) -> str:
    """Why a node with only float nodes around it stays in float."""
    names = list(dict.fromkeys(str(other.name) for other in _neighbours(node)))
    around = some_of(names, 3)
    return (
        f"every neighbour of it is float ({around}), so integers would only add error; it becomes integer once one of them does"
    )


def _graphs(attribute: ir.Attr) -> Iterable[ir.Graph]:
    return attribute.as_graphs() if attribute.type == ir.AttributeType.GRAPHS else [attribute.as_graph()]


def _reason(node: ir.Node, excluded: Mapping[str, Collection[ir.Node]]) -> str | None:
    if not touches_float(node):
        return None
    for pattern, nodes in excluded.items():
        if node in nodes:
            return f"{EXCLUDED} by {pattern!r}"
    spec = spec_of(node)
    if is_border_cast(node):
        return None
    if spec is None:
        return without_row(node)
    operands = (value for i, value in enumerate(node.inputs) if role_of(node, i) is not Role.STATIC)  # a Resize may have no roi
    if any(value is not None and _is_empty(value) for value in (*operands, *node.outputs)):
        return "one of its tensors has no elements; give the model's inputs a size"
    data = [value for i, value in enumerate(node.inputs) if value is not None and role_of(node, i) is Role.DATA]
    if reads_integers(node):
        return spec.refuse(node)
    if not data and spec.roles[0] is Role.INTEGER:
        return spec.refuse(node)
    if not data or any(not is_float(value) for value in data):
        return None if not any(map(is_float, (*data, *node.outputs))) else "its input is not a float32 tensor; cast it"
    return spec.refuse(node)


def _slow(node: ir.Node) -> str | None:
    spec = spec_of(node)
    if spec is None or not spec.slowdown:
        return None
    return f"it takes {spec.slowdown} float's time in integers; --prefer integer makes it integer"


def _is_empty(value: ir.Value) -> bool:
    """Whether a float tensor is known to have no elements: kernels of onnxruntime divide by their number."""
    return is_float(value) and value.shape is not None and 0 in list(value.shape)


def _neighbours(node: ir.Node) -> Iterator[ir.Node]:
    """The nodes that make or read the float tensors of a node."""
    makers = (value.producer() for value in node.inputs if value is not None and is_float(value))
    yield from (maker for maker in makers if maker is not None)
    yield from (user for value in node.outputs if is_float(value) for user in value.consumers() if user.graph is node.graph)


def _follow_neighbours(graph: ir.Graph, reasons: dict[str, str]) -> None:
    """Adds the nodes that only stand between float nodes; repeated until nothing changes."""
    changed = True
    while changed:
        changed = False
        for node in graph:
            if node.name in reasons or spec_of(node) is None or has_trait(node, Trait.WEIGHTS) or not touches_float(node):
                continue
            if _only_float_neighbours(node, reasons):
                reasons[str(node.name)] = between(node)
                changed = True


def _only_float_neighbours(node: ir.Node, reasons: dict[str, str]) -> bool:
    """Whether all float values around a node come from and go to float nodes, at least one on each side."""
    sources = [v for v in node.inputs if v is not None and is_float(v) and const_array(v) is None]
    makers = [v.producer() for v in sources]
    if not sources or any(maker is None or str(maker.name) not in reasons for maker in makers):
        return False
    results = [v for v in node.outputs if is_float(v)]
    if not results or any(v.is_graph_output() for v in results):
        return False
    return all(_kept_float(user, graph=node.graph, reasons=reasons) for v in results for user in v.consumers())


def _kept_float(user: ir.Node, graph: ir.Graph | ir.Function | None, reasons: dict[str, str]) -> bool:
    return user.graph is not graph or user.name in reasons
