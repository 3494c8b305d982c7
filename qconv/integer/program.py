"""The typed integer network: its steps in order, what every tensor of codes stands for, and what is proved.

    Meaning    what lowering knows of one node: kept by the node itself while the graph is being built and tuned
    Step       a node with its operands, multipliers and proof; frozen
    Program    all steps, the integer borders of the graph, and where the model comes from

`lower` builds a Program from the graph and the meanings. It is written into the graph's metadata by `Program.write`, and
everything that reads an integer model reads it back with `Program.read`; metadata.py has the words of the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir

from qconv.integer import metadata
from qconv.integer.language.multipliers import constant
from qconv.integer.language.operands import Triple, layout_of, parameter_inputs, weight_axis
from qconv.integer.metadata import INT_TYPES, Meaning, Origin
from qconv.quant.certify import Certificate
from qconv.quant.fixedpoint import Multiplier
from qconv.quant.types import QuantParams


@dataclass(frozen=True)
class Operand:
    """A tensor as one step sees it; `params` is None where it holds no codes, or codes that the step does not interpret.

    `tensor` is the name of the float tensor that the codes stand for; None for what comes about on the way.
    """

    value: ir.Value
    params: QuantParams | None = None
    tensor: str | None = None

    @property
    def name(self) -> str:
        """The name of the tensor in the integer graph."""
        return str(self.value.name)


@dataclass(frozen=True)
class Step:
    """One node. `reads` are its tensors without scales and zero points, but with the weight; `bias` is an int32 constant.

    `source` is the float node that it comes from, None for a node that quantizes nothing, such as a Shape or one in float.
    """

    op: str
    source: str | None
    node: ir.Node = field(repr=False)
    reads: tuple[Operand, ...]
    writes: tuple[Operand, ...]
    bias: ir.Value | None = None
    multipliers: tuple[Multiplier, ...] = ()
    certificate: Certificate | None = None
    geometry: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rescales(self) -> bool:
        """Whether it is a quantized operator, with parameters for each tensor that it reads."""
        return layout_of(self.node) is not None

    @property
    def name(self) -> str:
        """The name of the node."""
        return str(self.node.name)


@dataclass(frozen=True)
class Program:
    """An integer graph as data; `inputs` and `outputs` have parameters where the graph's border holds codes."""

    steps: tuple[Step, ...]
    inputs: tuple[Operand, ...]
    outputs: tuple[Operand, ...]
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
        steps = tuple(_step(node, meanings.get(node)) for node in graph)
        inputs, outputs = (tuple(_border(value, borders) for value in values) for values in (graph.inputs, graph.outputs))
        return cls(steps, inputs, outputs, origin or Origin())

    @classmethod
    def read(cls, model: ir.Model) -> Program:
        """The program that a model's metadata tells. Raises ModelError where it is damaged."""
        graph = model.graph
        meanings = {node: meaning for node in graph if (meaning := metadata.read_meaning(node)) is not None}
        borders = {v: params for v in (*graph.inputs, *graph.outputs) if (params := metadata.read_params(v)) is not None}
        return cls.build(graph, meanings, borders, metadata.read_origin(model))

    def write(self, model: ir.Model) -> None:
        """Writes the program into the metadata of the model whose nodes it consists of."""
        metadata.write_origin(model, self.origin)
        for border in (*self.inputs, *self.outputs):
            if border.params is not None:
                metadata.write_params(border.value, border.params)
        for step in self.quantized:
            assert step.source is not None
            params = step.writes[0].params
            tensors = tuple(operand.tensor for operand in step.writes)
            metadata.write_meaning(step.node, Meaning(step.source, tensors, params, step.multipliers, step.certificate))


def _step(node: ir.Node, meaning: Meaning | None) -> Step:
    layout = layout_of(node)
    if layout is not None:
        reads = [_operand(node, triple) for triple in layout.reads]
        bias = _input(node, layout.bias)
    else:
        skipped = parameter_inputs(node)
        reads = [Operand(v) for i, v in enumerate(node.inputs) if v is not None and i not in skipped]
        bias = None
    geometry = {a.name: a.value for a in node.attributes.values() if not a.is_ref() and a.type not in _GRAPHS}
    if meaning is None:
        return Step(node.op_type, None, node, tuple(reads), tuple(map(Operand, node.outputs)), bias, geometry=geometry)
    writes = tuple(
        Operand(value, _in_container(value, meaning.params), tensor)
        for value, tensor in zip(node.outputs, meaning.tensors, strict=True)
    )
    return Step(
        node.op_type, meaning.source, node, tuple(reads), writes, bias, meaning.multipliers, meaning.certificate, geometry
    )  # fmt: skip


_GRAPHS = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)


def _operand(node: ir.Node, triple: Triple) -> Operand:
    """A triple with the parameters that the node itself has for it: certification gives it scales of its own."""
    value = _input(node, triple.tensor)
    assert value is not None
    scale, zero_point = constant(node, triple.scale), constant(node, triple.zero_point)
    if scale is None or zero_point is None or zero_point.dtype not in (np.uint8, np.int8):
        return Operand(value)
    int_type = INT_TYPES[ir.DataType.from_numpy(zero_point.dtype)]
    axis = weight_axis(node) if scale.ndim else None
    return Operand(value, QuantParams(scale, np.broadcast_to(zero_point, scale.shape), int_type, axis))


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
