"""`Network`: an integer model of known sizes in few operators, for readers that know no ONNX.

Whatever only moves elements is a `move`, whatever is a function of one code is a `lookup`, and what does not depend on the
data is a constant. The sizes are those of one sample. docs/table.md tells what every operator computes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qconv.quant.certify import Certificate
from qconv.quant.fixedpoint import Multiplier
from qconv.quant.types import QuantParams

Array = NDArray[Any]
Attribute = int | str | list[int]


@dataclass(frozen=True)
class Tensor:
    """One tensor: its type and shape, what its codes stand for, and its values where it is a constant."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    params: QuantParams | None = None
    data: Array | None = None

    @property
    def size(self) -> int:
        """How many elements it has."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def bytes(self) -> int:
        """How much memory it takes."""
        return self.size * self.dtype.itemsize


@dataclass(frozen=True)
class Rescale:
    """From an accumulator to a code: clamp(round(acc m0 2^-shift) + zero point), or with the zero point inside the rounding.

    Halves go to even. `m0` and `shift` have one entry, or one for each channel along `axis` of the output.
    """

    m0: tuple[int, ...]
    shift: tuple[int, ...]
    axis: int | None = None

    @classmethod
    def of(cls, multiplier: Multiplier, axis: int | None = None) -> Rescale:
        """The record of a multiplier; the mantissa of a float32 has 24 bits, and ends in 7 zeros in m0."""
        m0, n = (np.atleast_1d(a).reshape(-1) for a in (multiplier.m0, multiplier.n))
        return cls(tuple(int(m) for m in m0), tuple(31 + int(s) for s in n), axis if m0.size > 1 else None)


@dataclass(frozen=True)
class State:
    """What one round of a repeated body hands to the next; `final` is a tensor of its own behind the last round."""

    initial: str
    before: str
    after: str
    final: str


@dataclass(frozen=True)
class Row:
    """A tensor of one round that is a row of a whole one: of round t, or t rows from the end where `backwards`."""

    whole: str
    row: str
    backwards: bool


@dataclass(frozen=True)
class Repeated:
    """Nodes that run `count` times: what a round is given, and what is kept of it."""

    count: int
    states: tuple[State, ...]
    slices: tuple[Row, ...]
    nodes: tuple[Node, ...]
    stacks: tuple[Row, ...]


@dataclass(frozen=True)
class Node:
    """One operation. One that repeats has a body; its inputs are those of the states, then the whole tensors that it reads."""

    name: str
    op: str
    inputs: tuple[str, ...]
    output: str
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    rescales: tuple[Rescale, ...] = ()
    certificate: Certificate | None = None
    body: Repeated | None = None

    @property
    def outputs(self) -> tuple[str, ...]:
        """The tensors that it makes for other nodes; one, but for a node that repeats."""
        if self.body is None:
            return (self.output,)
        return (*(state.final for state in self.body.states), *(stack.whole for stack in self.body.stacks))


@dataclass(frozen=True)
class Network:
    """Nodes in order, and all tensors by name. `reals` are what inputs and outputs of the ONNX model are called."""

    tensors: Mapping[str, Tensor]
    nodes: Sequence[Node]
    inputs: Sequence[str]
    outputs: Sequence[str]
    reals: Mapping[str, str]

    @property
    def results(self) -> list[tuple[Node, str]]:
        """What every node makes for others; what lives within one round of a body is not among it."""
        return [(node, name) for node in self.nodes for name in node.outputs]

    def all_nodes(self) -> Iterator[Node]:
        """The nodes, and behind each one that repeats those of its body."""
        return _all(self.nodes)

    @property
    def constants(self) -> list[Tensor]:
        """The tensors that have values, in the order in which nodes read them."""
        read = dict.fromkeys([*(name for node in self.all_nodes() for name in node.inputs), *self.outputs])
        return [self.tensors[name] for name in read if self.tensors[name].data is not None]


def _all(nodes: Sequence[Node]) -> Iterator[Node]:
    for node in nodes:
        yield node
        if node.body is not None:
            yield from _all(node.body.nodes)
