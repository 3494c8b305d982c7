"""`Network`: an integer model of known sizes in few operators, for readers that know no ONNX.

Whatever only moves elements is a `move`, whatever is a function of one code is a `lookup`, and what does not depend on the
data is a constant. The sizes are those of one sample. docs/table.md tells what every operator computes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
class Node:
    """One operation. `source` is the node of the integer model that it comes from."""

    name: str
    op: str
    inputs: tuple[str, ...]
    output: str
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    rescales: tuple[Rescale, ...] = ()
    certificate: Certificate | None = None


@dataclass(frozen=True)
class Network:
    """Nodes in order, and all tensors by name. `reals` are what inputs and outputs of the ONNX model are called."""

    tensors: Mapping[str, Tensor]
    nodes: Sequence[Node]
    inputs: Sequence[str]
    outputs: Sequence[str]
    reals: Mapping[str, str]

    @property
    def constants(self) -> list[Tensor]:
        """The tensors that have values, in the order in which nodes read them."""
        read = dict.fromkeys([*(name for node in self.nodes for name in node.inputs), *self.outputs])
        return [self.tensors[name] for name in read if self.tensors[name].data is not None]
