"""The typed integer network: its steps in order, what every tensor of codes stands for, and what is proved.

    Meaning    what lowering knows of one node: kept by the node itself while the graph is being built and tuned
    Step       a node with its operands, multipliers, geometry and proof (step.py); frozen
    Program    all steps, the integer borders of the graph, and where the model comes from

`lower` builds a Program from the graph and the meanings. It is written into the graph's metadata by `Program.write`, and
everything that reads an integer model reads it back with `Program.read`; metadata.py has the words of the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from qconv.integer import metadata
from qconv.integer.geometry import Geometry
from qconv.integer.language.audit import Types, float_tensor
from qconv.integer.language.multipliers import constant, multipliers_of
from qconv.integer.language.operands import Layout, Triple, layout_of, weight_axis
from qconv.integer.metadata import INT_TYPES, Meaning, Origin
from qconv.integer.step import Body, Operand, Step
from qconv.quant.certify import Certificate
from qconv.quant.fixedpoint import Multiplier
from qconv.quant.types import QuantParams


@dataclass(frozen=True)
class Program(Body):
    """An integer graph as data; `inputs` and `outputs` have parameters where the graph's border holds codes."""

    origin: Origin = field(default_factory=Origin)

    @property
    def quantized(self) -> tuple[Step, ...]:
        """The steps that write codes whose parameters are known."""
        return tuple(step for step in self.steps if step.source is not None)

    @property
    def certificates(self) -> dict[str, Certificate]:
        """The proofs by the name of the node."""
        return {step.name: step.certificate for step in self.steps if step.certificate is not None}

    def find(self, source: str) -> Step | None:
        """The first step that bears the name of the float node `source`, or None."""
        return next((step for step in self.steps if step.name == source), None)

    @classmethod
    def build(
        cls,
        graph: ir.Graph,
        meanings: Mapping[ir.Node, Meaning],
        borders: Mapping[ir.Value, QuantParams],
        origin: Origin | None = None,
    ) -> Program:
        """The program of a graph in topological order; `meanings` of nodes that are gone are left out."""
        types: Types = {}
        steps = tuple(_step(node, meanings, types) for node in graph)
        inputs, outputs = (tuple(_border(value, borders) for value in values) for values in (graph.inputs, graph.outputs))
        return cls(steps, inputs, outputs, origin or Origin())

    @classmethod
    def read(cls, model: ir.Model) -> Program:
        """The program that a model's metadata tells. Raises ModelError where it is damaged."""
        graph = model.graph
        meanings = {node: meaning for node in graph.all_nodes() if (meaning := metadata.read_meaning(node)) is not None}
        borders = {v: params for v in (*graph.inputs, *graph.outputs) if (params := metadata.read_params(v)) is not None}
        return cls.build(graph, meanings, borders, metadata.read_origin(model))

    def write(self, model: ir.Model) -> None:
        """Writes the program into the metadata of the model whose nodes it consists of."""
        metadata.write_origin(model, self.origin)
        for border in (*self.inputs, *self.outputs):
            if border.params is not None:
                metadata.write_params(border.value, border.params)
        for step in self.all_steps():
            if step.source is None:
                continue
            params = step.writes[0].params
            tensors = tuple(operand.tensor for operand in step.writes)
            metadata.write_meaning(step.node, Meaning(step.source, tensors, params, step.multipliers, step.certificate))


def _step(node: ir.Node, meanings: Mapping[ir.Node, Meaning], types: Types) -> Step:
    meaning, layout = meanings.get(node), layout_of(node)
    parts = None if layout is None else _rescaling(node, layout)
    plain: tuple[Operand | None, ...] = tuple(None if v is None else Operand(v) for v in node.inputs)
    operands, own, made = (plain, None, ()) if parts is None else parts
    bias = None if own is None or layout is None else _input(node, layout.bias)
    tensors = (None,) * len(node.outputs) if meaning is None else meaning.tensors
    params = None if meaning is None else meaning.params
    return Step(
        node.op_type, node.domain, str(node.name), None if meaning is None else meaning.source, node, operands,
        tuple(Operand(v, _in_container(v, params), tensor) for v, tensor in zip(node.outputs, tensors, strict=True)),
        None if bias is None else Operand(bias), own,
        (() if meaning is None else meaning.multipliers) or made,
        None if meaning is None else meaning.certificate, Geometry.of(node),
        {a.name: _body(a.as_graph(), meanings, types) for a in node.attributes.values() if a.type == ir.AttributeType.GRAPH},
        float_tensor(node, types) is not None or (layout is not None and parts is None),
    )  # fmt: skip


def _body(graph: ir.Graph, meanings: Mapping[ir.Node, Meaning], types: Types) -> Body:
    """The steps of a subgraph."""
    steps = tuple(_step(node, meanings, types) for node in graph)
    return Body(steps, tuple(map(Operand, graph.inputs)), tuple(map(Operand, graph.outputs)))


_WEIGHT = 1  # the operand that may have a scale for each channel
Rescaling = tuple[tuple[Operand | None, ...], QuantParams, tuple[Multiplier, ...]]


def _rescaling(node: ir.Node, layout: Layout) -> Rescaling | None:
    """The operands of a quantized operator, what it rescales to, and by what; None where it is not of the language.

    Each has the parameters that the node itself has for it: certification gives it scales of its own.
    """
    own = _params(node, layout.writes)
    values = [_input(node, triple.tensor) for triple in layout.reads]
    params = [_params(node, triple) for triple in layout.reads]
    single = [own, *(p for place, p in enumerate(params) if place != _WEIGHT)]
    if None in values or None in params or any(p is None or p.axis is not None for p in single):
        return None
    assert own is not None
    try:
        multipliers = tuple(multipliers_of(node))
    except ValueError:  # the ratio of the scales is no float32
        return None
    return tuple(Operand(v, p) for v, p in zip(values, params, strict=True) if v is not None), own, multipliers


def _params(node: ir.Node, triple: Triple) -> QuantParams | None:
    """The parameters of a triple; None where they are computed, or fit no codes of 8 bits."""
    scale, zero_point = constant(node, triple.scale), constant(node, triple.zero_point)
    if scale is None or zero_point is None or zero_point.dtype not in (np.uint8, np.int8):
        return None
    axis = weight_axis(node) if scale.size > 1 and scale.size == max(scale.shape) else None
    scale = scale.reshape(()) if scale.size == 1 else scale.reshape(-1)
    zero_point = zero_point.reshape(()) if zero_point.size == 1 else zero_point.reshape(-1)
    try:
        int_type = INT_TYPES[ir.DataType.from_numpy(zero_point.dtype)]
        return QuantParams(scale, np.broadcast_to(zero_point, scale.shape), int_type, axis)
    except ValueError:  # scales that are not positive, or several of them where one is due
        return None


def _border(value: ir.Value, borders: Mapping[ir.Value, QuantParams]) -> Operand:
    params = borders.get(value)
    return Operand(value) if params is None else Operand(value, _in_container(value, params), str(value.name))


def _in_container(value: ir.Value, params: QuantParams | None) -> QuantParams | None:
    """The parameters in the type that the codes are held in; where they keep to fewer, a Clip says so."""
    int_type = INT_TYPES.get(value.dtype) if value.dtype is not None else None
    if params is None or int_type is None:
        return params
    return QuantParams(params.scale, params.zero_point, int_type, params.axis)


def _input(node: ir.Node, index: int | None) -> ir.Value | None:
    return node.inputs[index] if index is not None and index < len(node.inputs) else None
