"""A random graph while it grows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

Array = NDArray[np.generic]
Attribute = int | float | str | list[int]
_MOST_ELEMENTS = 4096


@dataclass
class Growing:
    """A graph while it grows: nodes, constants, and the tensors that are there with their shapes."""

    rng: np.random.Generator
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def pick(self, *ranks: int) -> str | None:
        """A tensor of one of these ranks, rather a late one."""
        fitting = [name for name, shape in self.shapes.items() if len(shape) in ranks]
        return fitting[int(self.rng.integers(0, len(fitting), 2).max())] if fitting else None

    def constant(self, array: Array) -> str:
        """A new initializer."""
        name = f"k{len(self.constants)}"
        self.constants[name] = array
        return name

    def ints(self, *numbers: int) -> str:
        """A new initializer of whole numbers."""
        return self.constant(np.asarray(numbers, np.int64))

    def real(self, number: float) -> str:
        """A new initializer of one real."""
        return self.constant(np.asarray(number, np.float32))

    @property
    def last(self) -> str:
        """The tensor that was made last."""
        return next(reversed(self.shapes))

    def hidden(self, op: str, inputs: list[str], **attributes: Attribute) -> str:
        """A node whose output is no tensor of reals, or none that others may pick."""
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=f"n{len(self.nodes)}_{op}", **attributes))  # type: ignore[arg-type]
        return name

    def weight(self, *shape: int) -> str:
        """Normal weights whose channels differ a little in size."""
        spread = np.exp(self.rng.normal(0, 0.5, (shape[0], *[1] * (len(shape) - 1))))
        return self.constant((self.rng.normal(0, 1, shape) / np.sqrt(max(1, math.prod(shape[1:]))) * spread).astype(np.float32))

    def add(
        self,
        op: str,
        inputs: list[str],
        shape: tuple[int, ...],
        attributes: Mapping[str, Attribute] | None = None,
        spare: int = 0,
    ) -> None:
        """A node of one output and `spare` ones that nothing need read, unless it is too large."""
        if 0 < np.prod(shape) <= _MOST_ELEMENTS:
            name = f"t{len(self.nodes)}"
            outputs = [name, *(f"{name}_{number + 1}" for number in range(spare))]
            self.nodes.append(helper.make_node(op, inputs, outputs, name=f"n{len(self.nodes)}_{op}", **(attributes or {})))  # type: ignore[arg-type]
            self.shapes[name] = shape
