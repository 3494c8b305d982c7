"""`Tracer`: one run of an integer model, which gives all sizes, and the network that grows out of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from qconv.errors import FloatNodesError
from qconv.export.dependence import depends_on_data
from qconv.export.moves import view_of
from qconv.export.network import Array, Attribute, Network, Node, Rescale, Tensor
from qconv.integer.execution.executor import Executor
from qconv.integer.program import Program, Step
from qconv.model.graph import is_float
from qconv.model.traits import Trait, has_trait
from qconv.quant.types import QuantParams


@dataclass
class Tracer:
    """A network while it grows; `rules` has a function for each operator that computes."""

    model: ir.Model
    rules: Mapping[str, Callable[[Tracer, Step], None]]
    tensors: dict[str, Tensor] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    reals: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)

    def network(self) -> Network:
        """Runs the model on zeros, and goes through its steps."""
        program = Program.read(self.model)
        feeds = {str(v.name): np.zeros(_sample_shape(v), _numpy(v)) for v in self.model.graph.inputs}
        self.arrays = Executor(self.model).run(feeds)
        self.arrays |= {n: v.const_value.numpy() for n, v in self.model.graph.initializers.items() if v.const_value is not None}
        self.dynamic = depends_on_data(self.model.graph)
        inputs, outputs = list[str](), list[str]()
        for operand in program.inputs:
            if operand.value.dtype not in (ir.DataType.FLOAT,):
                inputs.append(self.add(operand.value, operand.params))
        for step in program.steps:
            if not any(v in self.dynamic for v in step.node.outputs):
                continue
            if step.op == "QuantizeLinear":
                name = self.add(step.node.outputs[0], step.writes[0].params)
                inputs.append(name)
                self.reals[name] = name_of(step.node.inputs[0])
            elif step.op == "DequantizeLinear":
                name = self.name(step.node.inputs[0])
                outputs.append(name)
                self.reals[name] = str(step.node.outputs[0].name)
            elif not any(map(is_float, step.node.outputs)):  # whoever runs the network joins or splits reals at its ends
                self.step(step)
        outputs += [self.name(output) for output in self.model.graph.outputs if not is_float(output)]
        return Network(self.tensors, self.nodes, inputs, list(dict.fromkeys(outputs)), self.reals)

    # --- tensors ----------------------------------------------------------------------------------------------------------

    def add(self, value: ir.Value, params: QuantParams | None = None) -> str:
        """Adds a tensor of the model under its own name, and returns that name."""
        name = str(value.name)
        array = self.arrays[name]
        self.tensors[name] = Tensor(name, array.dtype, array.shape, params)
        return name

    def constant(self, name: str, array: Array, params: QuantParams | None = None) -> str:
        """Adds a tensor with constant values, and returns its name."""
        self.tensors[name] = Tensor(name, array.dtype, array.shape, params, np.ascontiguousarray(array))
        return name

    def name(self, value: ir.Value | None) -> str:
        """Returns the name of a tensor that a node reads, and makes it a constant where it does not depend on the data."""
        assert value is not None
        name = str(value.name)
        if name not in self.tensors:
            self.constant(name, self.arrays[name])
        return name

    def emit(
        self, step: Step, op: str, inputs: list[str], attributes: dict[str, Attribute] | None = None,
        rescales: tuple[Rescale, ...] = (), output: str | None = None,
    ) -> str:  # fmt: skip
        """Adds a node that makes the output of a step, or `output` on the way to it."""
        final = output is None
        name = self.add(step.node.outputs[0], step.writes[0].params) if output is None else output
        certificate = step.certificate if final else None
        label = step.name if final else name
        self.nodes.append(Node(label, op, tuple(inputs), name, attributes or {}, rescales, certificate))
        return name

    # --- operators --------------------------------------------------------------------------------------------------------

    def step(self, step: Step) -> None:
        """Translates one node of the model."""
        node = step.node
        if has_trait(node, Trait.RESHAPES):
            self.emit(step, "reshape", [self.name(node.inputs[0])])
        elif has_trait(node, Trait.MOVES) and _indices_known(node, self.dynamic):
            self.move(step)
        elif (rule := self.rules.get(step.op)) is not None:
            rule(self, step)
        else:
            raise no_form(step)

    def move(self, step: Step) -> None:
        """Finds where the elements of the output come from, by moving numbers that count them."""
        node = step.node
        x = self.arrays[name_of(node.inputs[0])]
        others = [None if v is None else self.arrays[str(v.name)] for v in node.inputs[1:]]
        places = Executor(self.model).run_node(node, [np.arange(x.size, dtype=np.int32).reshape(x.shape), *others])
        for output, place in zip(node.outputs, places, strict=True):
            if not output.uses() and not output.is_graph_output():
                continue
            view = view_of(place.astype(np.int64))
            name = self.add(output, step.writes[0].params)
            if view is None:
                index = self.constant(f"{name}/places", place.reshape(-1).astype(np.int32))
                self.nodes.append(Node(step.name, "gather", (self.name(node.inputs[0]), index), name))
            else:
                attributes: dict[str, Attribute] = {
                    "offset": view.offset, "sizes": list(view.sizes), "strides": list(view.strides),
                }  # fmt: skip
                self.nodes.append(Node(step.name, "move", (self.name(node.inputs[0]),), name, attributes))


def no_form(step: Step) -> FloatNodesError:
    """Returns the error for an operator that has no place in a network."""
    return FloatNodesError(f"node {step.name} ({step.op}) has no form outside onnxruntime yet; keep the ONNX model for it")


def name_of(value: ir.Value | None) -> str:
    """Returns the name of a value, empty where there is none."""
    return "" if value is None else str(value.name)


def _sample_shape(value: ir.Value) -> tuple[int, ...]:
    """The shape of an input with 1 for what is not known."""
    assert value.shape is not None
    return tuple(size if isinstance(size, int) else 1 for size in value.shape)


def _numpy(value: ir.Value) -> np.dtype[np.generic]:
    assert value.dtype is not None
    return np.dtype(value.dtype.numpy())


def _indices_known(node: ir.Node, dynamic: set[ir.Value]) -> bool:
    return not any(value in dynamic for value in node.inputs[1:] if value is not None)
