"""The nodes of an integer network as data: what each reads and writes, how it rescales, and what is proved of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import onnx_ir as ir
from numpy.typing import NDArray

from qconv.integer.geometry import Geometry
from qconv.model.traits import TRAITS, Trait
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
        """The name of the tensor in the integer graph; empty for an output that is left out."""
        return self.value.name or ""

    @property
    def constant(self) -> NDArray[Any] | None:
        """The array of a constant; None for what is computed or given."""
        value = self.value
        return None if value.const_value is None or value.is_graph_input() else value.const_value.numpy()

    @property
    def is_read(self) -> bool:
        """Whether a step reads it, or whoever runs the network."""
        return bool(self.value.uses()) or self.value.is_graph_output()


@dataclass(frozen=True, eq=False)
class Step:
    """One node. `source` is the float node that it comes from, None for one that quantizes nothing, such as a Shape.

    `operands` are its inputs by their place, None where one is left out. A quantized operator has its tensors of codes alone,
    with the scales and zero points that it has for them, and `bias` beside them; `own` is what it rescales to: one scale, also
    where what it writes stands for reals with a scale for each channel. `in_float` says that it reads or writes reals, or that
    it rescales by what is no constant of 8-bit codes. `bodies` are the subgraphs of a Scan, by the names of their attributes.
    """

    op: str
    domain: str
    name: str
    source: str | None
    node: ir.Node = field(repr=False)
    operands: tuple[Operand | None, ...]
    writes: tuple[Operand, ...]
    bias: Operand | None = None
    own: QuantParams | None = None
    multipliers: tuple[Multiplier, ...] = ()
    certificate: Certificate | None = None
    geometry: Geometry = field(default_factory=Geometry)
    bodies: Mapping[str, Body] = field(default_factory=dict)
    in_float: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """The domain, empty for the standard's, and the name of the operator."""
        return "" if self.domain == "ai.onnx" else self.domain, self.op

    @property
    def traits(self) -> Trait:
        """What the operator does to elements; nothing is known of one that the standard has not."""
        return TRAITS.get(self.key, Trait.NONE)

    @property
    def reads(self) -> tuple[Operand, ...]:
        """The operands that are not left out; without a bias."""
        return tuple(operand for operand in self.operands if operand is not None)

    @property
    def arguments(self) -> tuple[Operand | None, ...]:
        """The operands, and the bias behind them."""
        return self.operands if self.bias is None else (*self.operands, self.bias)

    @property
    def rescales(self) -> bool:
        """Whether it is a quantized operator, with parameters for each tensor that it reads."""
        return self.own is not None

    def operand(self, index: int) -> Operand:
        """Operand `index`. Raises ValueError where it is left out."""
        found = self.operands[index] if index < len(self.operands) else None
        if found is None:
            raise ValueError(f"input {index} is missing")
        return found

    def codes(self, index: int) -> QuantParams:
        """The parameters that a quantized operator has for operand `index`."""
        params = self.operand(index).params
        assert params is not None
        return params

    @property
    def result(self) -> QuantParams:
        """What a quantized operator rescales to."""
        assert self.own is not None
        return self.own


@dataclass(frozen=True)
class Body:
    """Steps in topological order: those of a subgraph, or of a whole program."""

    steps: tuple[Step, ...]
    inputs: tuple[Operand, ...]
    outputs: tuple[Operand, ...]

    def all_steps(self) -> Iterator[Step]:
        """The steps, and behind each one those of its bodies."""
        for step in self.steps:
            yield step
            for body in step.bodies.values():
                yield from body.all_steps()

    @property
    def makers(self) -> dict[ir.Value, Step]:
        """The step that makes each tensor; inputs and constants are not among them."""
        return {write.value: step for step in self.steps for write in step.writes}

    @property
    def readers(self) -> dict[ir.Value, list[Step]]:
        """The steps that read each tensor, in order."""
        found: dict[ir.Value, list[Step]] = {}
        for step in self.steps:
            for value in dict.fromkeys(argument.value for argument in step.arguments if argument is not None):
                found.setdefault(value, []).append(step)
        return found
