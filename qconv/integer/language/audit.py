"""Which nodes of a graph compute in float: the count behind the words "integer only".

A node is float if it reads or writes a float tensor and is neither the QuantizeLinear of a graph input nor the DequantizeLinear
of a graph output. Nodes that only move reals of inputs on the way to QuantizeLinears, or join and move those of
DequantizeLinears on the way to outputs, belong to the ends, as does a Cast between such an end and an input or output of another
type. Scales, and the factors of a Resize, are parameters and not data. A Shape or Size of a float tensor reads none of its
elements, and is not float.
Reals that follow from shapes and constants alone belong to no data (qconv/model/measured.py).
Subgraphs are looked into; the audit takes any graph, also the one that onnxruntime writes after its own optimization.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from qconv.errors import ModelError
from qconv.integer.language.element_types import element_type
from qconv.integer.language.operands import parameter_inputs
from qconv.model.measured import measured_reals
from qconv.model.traits import Trait, has_trait

Types = dict[ir.Value, ir.DataType | None]


@dataclass(frozen=True)
class FloatNode:
    """A node that computes in float, and the tensor that shows it."""

    name: str
    op_type: str
    reason: str


@dataclass(frozen=True)
class Audit:
    """What a graph is made of: its nodes within the integer part, its two ends, and what is left in float."""

    integer: Mapping[str, int]  # op type -> nodes
    quantize: int  # QuantizeLinear of graph inputs
    dequantize: int  # DequantizeLinear of graph outputs
    float_nodes: tuple[FloatNode, ...]

    @property
    def integer_nodes(self) -> int:
        """How many nodes compute in integers."""
        return sum(self.integer.values())

    @property
    def integer_only(self) -> bool:
        """Whether nothing between the two ends computes in float."""
        return not self.float_nodes


def audit(model: ir.Model | Path) -> Audit:
    """Count the nodes of `model`, or of the file at a path; raises ModelError where the file cannot be read."""
    graph = (_read(model) if isinstance(model, Path) else model).graph
    types: Types = {}
    integer: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    float_nodes, measured = [], measured_reals(graph)
    for node in graph.all_nodes():
        end = _end(node, graph, measured)
        tensor = None if _only_measures(node, measured, types) else float_tensor(node, types)
        if end is not None:
            ends[end] += 1
        elif tensor is not None:
            float_nodes.append(FloatNode(node.name or "", node.op_type, tensor))
        else:
            integer[node.op_type] += 1
    return Audit(dict(integer), ends["QuantizeLinear"], ends["DequantizeLinear"], tuple(float_nodes))


def makes_integers_of_input(node: ir.Node) -> bool:
    """Whether a node casts a graph input of reals to integers, as tokens in float32."""
    value = node.inputs[0] if has_trait(node, Trait.CASTS) else None
    floats = value is not None and _is_input(value) and value.dtype is not None and value.dtype.is_floating_point()
    return floats and ir.DataType(node.attributes.get_int("to", ir.DataType.FLOAT)).is_integer()


def float_tensor(node: ir.Node, types: Types) -> str | None:
    """Why `node` is float ("reads float tensor ..."), None if it is not. `types` caches element types between calls."""
    reads = () if node.op_type in ("Shape", "Size") else node.inputs
    parameters = parameter_inputs(node)
    for index, value in enumerate(reads):
        if value is not None and (word := _float_word(value, types)):
            if index in parameters and value.const_value is not None:
                continue
            return f"reads {word} tensor {value.name!r}"
    for value in node.outputs:
        if value.name and (word := _float_word(value, types)):
            return f"writes {word} tensor {value.name!r}"
    return None


def _float_word(value: ir.Value, types: Types) -> str | None:
    dtype = element_type(value, types)
    if dtype is None:
        return "untyped"
    return "float" if dtype.is_floating_point() else None


def _only_measures(node: ir.Node, measured: frozenset[ir.Value], types: Types) -> bool:
    """Whether all reals that a node reads and makes follow from shapes and constants, and some do."""
    values = [value for value in (*node.inputs, *node.outputs) if value is not None and value.const_value is None]
    reals = [value for value in values if _float_word(value, types)]
    return bool(reals) and all(value in measured for value in reals)


def _end(node: ir.Node, graph: ir.Graph, measured: frozenset[ir.Value]) -> str | None:
    """The op type of a node that is one of the graph's two ends."""
    if node.domain not in ("", "ai.onnx") or node.graph is not graph:
        return None
    if node.op_type == "QuantizeLinear":
        value = node.inputs[0]
        maker = None if value is None else value.producer()
        apart = maker is not None and _takes_apart(maker)
        return node.op_type if value is not None and (_is_given(value) or apart or value in measured) else None
    if _is_last(node) or _joins_reals(node) or _takes_apart(node):
        return node.op_type
    if makes_integers_of_input(node):
        return node.op_type
    if node.op_type == "Cast" and _is_given(node.outputs[0]):
        return node.op_type if all(user.op_type == "QuantizeLinear" for user in node.outputs[0].consumers()) else None
    if node.op_type == "DequantizeLinear":
        ends = node.outputs[0].is_graph_output() or any(
            _is_last(user) or _joins_reals(user) for user in node.outputs[0].consumers()
        )
        return node.op_type if ends and node.inputs[0] not in graph.initializers.values() else None
    return None


def _is_last(node: ir.Node) -> bool:
    """Whether a node turns dequantized reals into an output of another float type."""
    maker = node.inputs[0].producer() if node.op_type == "Cast" and node.inputs[0] is not None else None
    output = node.outputs[0]
    floats = output.dtype is not None and output.dtype.is_floating_point()
    return maker is not None and maker.op_type == "DequantizeLinear" and floats and output.is_graph_output()


def _takes_apart(node: ir.Node) -> bool:
    """Whether a node moves reals of a graph input to QuantizeLinears and to nothing else."""
    values = [value for value in node.outputs if value.uses() or value.is_graph_output()]
    users = [user for value in values for user in value.consumers() if not has_trait(user, Trait.MEASURES)]
    ends = all(has_trait(user, Trait.QUANTIZES) or (_only_moves(user) and _takes_apart(user)) for user in users)
    return bool(users) and ends and _only_moves(node) and _comes_from_input(node) and not any(v.is_graph_output() for v in values)


def _comes_from_input(node: ir.Node) -> bool:
    value = node.inputs[0]
    maker = None if value is None else value.producer()
    if value is None or has_trait(node, Trait.JOINS):
        return False
    return _is_given(value) if maker is None else _only_moves(maker) and _comes_from_input(maker)


def _joins_reals(node: ir.Node) -> bool:
    """Whether a node joins dequantized reals, or moves what was joined, on the way to outputs and to nothing else."""
    return _only_moves(node) and _comes_from_codes(node) and _goes_to_outputs(node)


def _only_moves(node: ir.Node) -> bool:
    return has_trait(node, Trait.MOVES | Trait.JOINS)


def _comes_from_codes(node: ir.Node) -> bool:
    """Whether the reals that a node moves come from a DequantizeLinear, constants aside."""
    operands = node.inputs if has_trait(node, Trait.JOINS) else node.inputs[:1]
    makers = [value.producer() for value in operands if value is not None and value.const_value is None]
    return bool(makers) and all(
        maker is not None and (has_trait(maker, Trait.DEQUANTIZES) or (_only_moves(maker) and _comes_from_codes(maker)))
        for maker in makers
    )


def _goes_to_outputs(node: ir.Node) -> bool:
    values = [value for value in node.outputs if value.is_graph_output() or value.uses()]
    return bool(values) and all(_only_moves(user) and _goes_to_outputs(user) for value in values for user in value.consumers())


def _is_given(value: ir.Value) -> bool:
    """Whether a tensor is a graph input, or the reals of an integer one."""
    maker = value.producer()
    if maker is not None and maker.op_type == "Cast" and maker.inputs[0] is not None:
        value = maker.inputs[0]
    return _is_input(value)


def _is_input(value: ir.Value | None) -> bool:
    return value is not None and value.is_graph_input() and not value.is_initializer()


def _read(path: Path) -> ir.Model:
    try:
        return ir.load(path)
    except Exception as error:  # whatever onnx, protobuf or the file system say of a bad file
        raise ModelError(f"{path} cannot be read as an ONNX model: {error}") from error
