"""Below which values of a tensor nothing counts, so that a mask does not widen its range.

1. Softmax gives what lies far below the largest of its row next to nothing, and 8 bits give it nothing at all. So what only a
   Softmax reads is looked at as max(x, largest of the row - REACH - ln n), where a row has n elements: all that is left out
   adds up to exp(-REACH) of the row. A row that lies GONE below another one is masked as a whole, as of padding: it is not
   looked at.
2. What such a tensor is made of by sums and selections may hold the mask itself: -inf, float32's lowest, -1e4. It is looked at
   as max(x, LOWEST), and may be infinite without being wrong.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.model.appender import Appender
from qconv.model.graph import attr_int, const_array, is_float
from qconv.model.traits import Trait, has_trait

REACH = 7.5
LOWEST = -1e12
GONE = 1e3
_LONGEST_ROW = 1 << 12  # where the length of a row is not known

_MEETS = Trait.SUMS | Trait.CHOOSES
_CARRIES = _MEETS | Trait.CASTS | Trait.DIVIDES | Trait.FILLS | Trait.JOINS | Trait.MOVES | Trait.MULTIPLIES | Trait.NEGATES


@dataclass(frozen=True)
class Floors:
    """`rows` has the axis and the reach below the largest for what a Softmax reads, `carriers` what may hold a mask."""

    rows: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    carriers: frozenset[str] = frozenset()

    @classmethod
    def of(cls, graph: ir.Graph) -> Floors:
        """The floors of the tensors of a prepared float graph."""
        rows: dict[str, tuple[int, float]] = {}
        carriers: set[str] = set()
        for node in graph:
            value = node.inputs[0] if has_trait(node, Trait.PROBABILITIES) else None
            if value is None or not is_float(value) or const_array(value) is not None or not _only_softmax(value):
                continue
            assert value.shape is not None
            axis = attr_int(node, "axis", -1) % len(value.shape)
            size = value.shape[axis]
            rows[str(value.name)] = axis, REACH + math.log(max(size if isinstance(size, int) else _LONGEST_ROW, 1))
            carriers |= _carriers(value)
        return cls(rows, frozenset(carriers))

    def raised(self, value: ir.Value, appender: Appender) -> ir.Value:
        """The tensor as it is looked at, in a graph that nodes are appended to."""
        name = str(value.name)
        if name in self.rows:
            axis, reach = self.rows[name]
            attributes = {"keepdims": 1}
            top = appender.append("ReduceMax", [value, appender.integers(axis)], f"{name}_row_maximum", attributes)
            best = appender.append("ReduceMax", [top], f"{name}_maximum", attributes)
            least = appender.append("Sub", [best, appender.real(GONE)], f"{name}_least_maximum")
            gone = appender.append("Less", [top, least], f"{name}_row_is_masked", dtype=ir.DataType.BOOL)
            row_floor = appender.append("Sub", [top, appender.real(reach)], f"{name}_row_floor")
            floor = appender.append("Where", [gone, best, row_floor], f"{name}_floor")
        elif name in self.carriers:
            floor = appender.real(LOWEST)
        else:
            return value
        result = appender.append("Max", [value, floor], f"{name}_raised")
        result.shape = value.shape
        return result

    def raised_array(self, name: str, array: NDArray[Any]) -> NDArray[Any]:
        """An array raised to the floor of its tensor."""
        if name in self.rows and array.size:
            return np.asarray(np.maximum(array, self._row_floor(name, array)))
        return np.asarray(np.maximum(array, np.float32(LOWEST))) if name in self.carriers else array

    def below(self, name: str, array: NDArray[Any], lowest: float) -> NDArray[Any] | None:
        """Below which reals nothing counts where codes reach down to `lowest`, in the shape of the array; None where all counts.

        Of what may hold a mask it is what lies GONE below zero, for which the lowest code stands.
        """
        if name in self.rows and array.size:
            return np.broadcast_to(self._row_floor(name, array), array.shape)
        if name in self.carriers and array.size and array.min() < min(-GONE, lowest):
            return np.where(array < -GONE, np.float32(lowest), np.float32(-np.inf))
        return None

    def _row_floor(self, name: str, array: NDArray[Any]) -> NDArray[Any]:
        axis, reach = self.rows[name]
        top = array.max(axis=axis, keepdims=True)
        gone = top < top.max() - np.float32(GONE)
        return np.asarray(np.where(gone, top.max(), top - np.float32(reach)))


def _only_softmax(value: ir.Value) -> bool:
    """Whether nothing but Softmax along one axis reads a tensor of known rank."""
    if value.shape is None or not len(value.shape) or value.is_graph_output():
        return False
    axes = {attr_int(user, "axis", -1) if has_trait(user, Trait.PROBABILITIES) else None for user in value.consumers()}
    return len(axes) == 1 and None not in axes


def _carriers(value: ir.Value) -> set[str]:
    """What sums and selections make a tensor of; none where no two tensors meet."""
    found: set[ir.Value] = set()
    pending, joined = [value], False
    while pending:
        current = pending.pop()
        if current in found or not is_float(current):
            continue
        found.add(current)
        node = current.producer()
        if node is not None and has_trait(node, _CARRIES):
            joined = joined or has_trait(node, _MEETS)
            pending += [source for source in node.inputs if source is not None]
    return {str(carrier.name) for carrier in found if _carries(carrier)} if joined else set()


def _carries(value: ir.Value) -> bool:
    """Whether a tensor may hold a mask: it is given, or made by an op that passes one on."""
    node = value.producer()
    return node is None or has_trait(node, _CARRIES)
