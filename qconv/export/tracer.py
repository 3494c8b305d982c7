"""`Tracer`: one run of an integer model, which gives all sizes, and the network that grows out of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from qconv.errors import FloatNodesError, ModelError
from qconv.export.dependence import depends_on_data
from qconv.export.moves import view_of
from qconv.export.network import Array, Attribute, Network, Node, Rescale, Tensor
from qconv.integer.execution.executor import Executor
from qconv.integer.execution.kernels import compute
from qconv.integer.program import Program
from qconv.integer.step import Operand, Step
from qconv.model.graph import is_float
from qconv.model.traits import Trait
from qconv.quant.types import QuantParams


@dataclass
class Tracer:
    """A network while it grows; `rules` has a function for each operator that computes."""

    program: Program
    rules: Mapping[str, Callable[[Tracer, Step], None]]
    tensors: dict[str, Tensor] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    reals: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    arrays: Mapping[str, Array] = field(default_factory=dict)
    dynamic: Set[ir.Value] = frozenset()

    def network(self) -> Network:
        """Runs the program on zeros, and goes through its steps."""
        self.arrays = arrays_of(self.program)
        self.dynamic = depends_on_data(self.program)
        inputs, outputs = list[str](), list[str]()
        for operand in self.program.inputs:
            if not is_float(operand.value):
                inputs.append(self.add(operand))
        for step in self.program.steps:
            if not any(write.value in self.dynamic for write in step.writes):
                continue
            if step.traits & Trait.QUANTIZES:
                name = self.add(step.writes[0])
                inputs.append(name)
                self.reals[name] = step.operand(0).name
            elif step.traits & Trait.DEQUANTIZES:
                name = self.name(step.operand(0))
                outputs.append(name)
                self.reals[name] = step.writes[0].name
            elif not any(is_float(write.value) for write in step.writes):  # whoever runs the network moves reals at its ends
                self.step(step)
        outputs += [self.name(output) for output in self.program.outputs if not is_float(output.value)]
        return Network(self.tensors, self.nodes, inputs, list(dict.fromkeys(outputs)), self.reals)

    # --- tensors ----------------------------------------------------------------------------------------------------------

    def add(self, operand: Operand) -> str:
        """Adds a tensor of the program under its own name, and returns that name."""
        array = self.arrays[operand.name]
        self.tensors[operand.name] = Tensor(operand.name, array.dtype, array.shape, operand.params)
        return operand.name

    def constant(self, name: str, array: Array, params: QuantParams | None = None) -> str:
        """Adds a tensor with constant values, and returns its name."""
        self.tensors[name] = Tensor(name, array.dtype, array.shape, params, np.ascontiguousarray(array))
        return name

    def name(self, operand: Operand) -> str:
        """Returns the name of a tensor that a step reads, and makes it a constant where it does not depend on the data.

        Raises FloatNodesError for one that does and that no rule has made: a second output of its maker.
        """
        if operand.name not in self.tensors and operand.value in self.dynamic:
            raise FloatNodesError(f"tensor {operand.name} has no form outside onnxruntime yet; keep the ONNX model for it")
        if operand.name not in self.tensors:
            self.constant(operand.name, self.arrays[operand.name])
        return operand.name

    def values(self, operand: Operand) -> Array:
        """Returns the values that a tensor has in the run."""
        return self.arrays[operand.name]

    def emit(
        self, step: Step, op: str, inputs: list[str], attributes: dict[str, Attribute] | None = None,
        rescales: tuple[Rescale, ...] = (), output: str | None = None,
    ) -> str:  # fmt: skip
        """Adds a node that makes the output of a step, or `output` on the way to it."""
        final = output is None
        name = self.add(step.writes[0]) if output is None else output
        certificate = step.certificate if final else None
        label = step.name if final else name
        self.nodes.append(Node(label, op, tuple(inputs), name, attributes or {}, rescales, certificate))
        return name

    # --- operators --------------------------------------------------------------------------------------------------------

    def step(self, step: Step) -> None:
        """Translates one step of the program."""
        if step.traits & Trait.RESHAPES:
            self.emit(step, "reshape", [self.name(step.operand(0))])
        elif step.traits & Trait.MOVES and not any(operand.value in self.dynamic for operand in step.reads[1:]):
            self.move(step)
        elif (rule := self.rules.get(step.op)) is not None:
            rule(self, step)
        else:
            raise no_form(step)

    def move(self, step: Step) -> None:
        """Finds where the elements of the output come from, by moving numbers that count them."""
        x = self.values(step.operand(0))
        others = [None if operand is None else self.values(operand) for operand in step.operands[1:]]
        places = compute(step, [np.arange(x.size, dtype=np.int32).reshape(x.shape), *others])
        for output, place in zip(step.writes, places, strict=True):
            if not output.is_read:
                continue
            view = view_of(place.astype(np.int64))
            name = self.add(output)
            if view is None:
                index = self.constant(f"{name}/places", place.reshape(-1).astype(np.int32))
                self.nodes.append(Node(step.name, "gather", (self.name(step.operand(0)), index), name))
            else:
                attributes: dict[str, Attribute] = {
                    "offset": view.offset, "sizes": list(view.sizes), "strides": list(view.strides),
                }  # fmt: skip
                self.nodes.append(Node(step.name, "move", (self.name(step.operand(0)),), name, attributes))


def no_form(step: Step) -> FloatNodesError:
    """Returns the error for an operator that has no place in a network."""
    return FloatNodesError(f"node {step.name} ({step.op}) has no form outside onnxruntime yet; keep the ONNX model for it")


def arrays_of(program: Program) -> dict[str, Array]:
    """All tensors of a program in a run on zeros, with 1 for each size that is not known, and its constants."""
    feeds = {operand.name: np.zeros(_sample_shape(operand.value), _numpy(operand.value)) for operand in program.inputs}
    read = (*(operand for step in program.steps for operand in step.arguments), *program.outputs)
    constants = {operand.name: operand.constant for operand in read if operand is not None}
    try:
        found = Executor(program).run(feeds)
    except ModelError as error:
        raise FloatNodesError(f"this model has no sizes outside onnxruntime, as they depend on its data: {error}") from None
    return found | {name: array for name, array in constants.items() if array is not None}


def _sample_shape(value: ir.Value) -> tuple[int, ...]:
    """The shape of an input with 1 for what is not known."""
    assert value.shape is not None
    return tuple(size if isinstance(size, int) else 1 for size in value.shape)


def _numpy(value: ir.Value) -> np.dtype[np.generic]:
    assert value.dtype is not None
    return np.dtype(value.dtype.numpy())
