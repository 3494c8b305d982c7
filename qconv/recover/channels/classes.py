"""Which channels of which tensors must have the same factor.

Every channel of every tensor belongs to a class. A layer of weights makes new ones; what selects, pools or clamps passes them on;
a sum joins those of its operands; whatever cannot take a factor puts them into class 0, whose factor is 1.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.model.graph import attr_int, attr_ints, attr_str, const_array, is_float, shared_arrays
from qconv.model.traits import Trait, has_trait
from qconv.ops.forms import clamp_bounds, output_channels, scalar_factor
from qconv.ops.op_table import has_weight
from qconv.plan.shared_scales import integer_nodes

Ids = NDArray[np.int64]
_PICTURE = 3  # the least rank of a tensor whose channels a depthwise convolution can multiply


@dataclass(frozen=True)
class Channels:
    """The classes of the channels of one tensor, along one of its axes."""

    axis: int
    ids: Ids


class ChannelClasses:
    """The classes of a prepared float graph, of which the nodes named in `kept` do not become integer.

    `layers` are the layers whose weights take the factors, `gates` the nodes that need their input without any; `clamps` bound
    their output, and a factor must leave the bound where it is.
    """

    def __init__(self, graph: ir.Graph, kept: Mapping[str, str], *, borders: bool = False) -> None:
        """Starts with one class for each channel. With `borders`, inputs and outputs of the graph may have factors too."""
        self._parents: list[int] = [0]
        self._channels: dict[ir.Value, Channels] = {}
        self.layers: list[ir.Node] = []
        self.gates: list[ir.Node] = []
        self.clamps: list[ir.Node] = []
        if borders:
            for value in graph.inputs:
                self._enter(value)
        self._shared = shared_arrays(graph)
        whole = set(integer_nodes(graph, kept))
        for node in graph:
            self._visit(node, node in whole)
        self.borders: list[ir.Value] = [value for value in (*graph.inputs, *graph.outputs) if borders and self.knows(value)]
        for value in graph.outputs if not borders else ():
            self._pin(value)

    @property
    def channels(self) -> dict[ir.Value, Channels]:
        """The tensors of which some channels may have a factor, with their classes, in graph order."""
        return {value: self.of(value) for value in self.values}

    @property
    def values(self) -> list[ir.Value]:
        """The tensors of which some channels may have a factor, in graph order."""
        return [value for value in self._channels if self.of(value).ids.any()]

    def of(self, value: ir.Value) -> Channels:
        """The classes of a tensor by number, the same for all channels that must have one factor; 0 for the factor 1."""
        channels = self._channels[value]
        return Channels(channels.axis, np.array([self._root(number) for number in channels.ids.tolist()], np.int64))

    def knows(self, value: ir.Value | None) -> bool:
        """Whether a tensor has channels that are told apart."""
        return value is not None and value in self._channels

    @property
    def count(self) -> int:
        """A count that all numbers of classes are below."""
        return len(self._parents)

    def pin(self, values: Collection[ir.Value]) -> None:
        """Gives all channels of some tensors, and those that share a class with them, the factor 1."""
        for value in values:
            self._pin(value)

    def _enter(self, value: ir.Value) -> None:
        size = _size(value, 1)
        if is_float(value) and const_array(value) is None and size is not None:
            self._channels[value] = Channels(1, self._fresh(size))

    def _fresh(self, count: int) -> Ids:
        found = np.arange(self.count, self.count + count)
        self._parents += found.tolist()
        return found

    # --- the walk -----------------------------------------------------------------------------------------------------------

    def _visit(self, node: ir.Node, becomes_integer: bool) -> None:
        if has_trait(node, Trait.MEASURES):
            return
        if not becomes_integer or not self._pass(node):
            for value in node.inputs:
                self._pin(value)

    def _pass(self, node: ir.Node) -> bool:
        """Gives the outputs of a node their classes; False where its inputs must not have factors."""
        if has_trait(node, Trait.WEIGHTS):
            return self._layer(node)
        if has_trait(node, Trait.SUMS):
            return self._sum(node)
        if has_trait(node, Trait.JOINS):
            return self._join(node)
        if has_trait(node, Trait.MULTIPLIES):
            return self._product(node)
        if has_trait(node, Trait.GATES | Trait.GATES_ITSELF):
            return self._gate(node)
        if has_trait(node, Trait.FOLLOWS):
            return self._follow(node)
        return has_trait(node, Trait.RESHAPES) and self._reshape(node)

    def _layer(self, node: ir.Node) -> bool:
        x, y = node.inputs[0], node.outputs[0]
        rank = None if y.shape is None else len(y.shape)
        constants = [value for value in node.inputs[1:] if value is not None]
        owned = all(const_array(v) is not None and len(v.uses()) == 1 and v.name not in self._shared for v in constants)
        weight = const_array(node.inputs[1])
        if not has_weight(node) or not owned or rank is None or weight is None or attr_int(node, "transA", 0):
            return False
        convolves = weight.ndim >= _PICTURE
        axis = 1 if convolves else rank - 1
        if (not convolves and weight.ndim != 2) or (self.knows(x) and x is not None and self._channels[x].axis != axis):
            return False
        self.layers.append(node)
        self._channels[y] = Channels(axis, self._fresh(output_channels(node)))
        return True

    def _sum(self, node: ir.Node) -> bool:
        a, b = node.inputs
        if a is None or b is None or not (self.knows(a) and self.knows(b)) or _rank(a) != _rank(b):
            return False
        one, other = self._channels[a], self._channels[b]
        if one.axis != other.axis or len(one.ids) != len(other.ids):
            return False
        for first, second in zip(one.ids.tolist(), other.ids.tolist(), strict=True):
            self._union(first, second)
        self._channels[node.outputs[0]] = one
        return True

    def _join(self, node: ir.Node) -> bool:
        output, axis = node.outputs[0], attr_int(node, "axis", 0)
        if output.shape is None or axis % len(output.shape) != 1:
            return False
        parts = []
        for value in node.inputs:
            assert value is not None
            size = None if value.shape is None else value.shape[1]
            if not isinstance(size, int) or (self.knows(value) and self._channels[value].axis != 1):
                return False
            parts.append(self._channels[value].ids if self.knows(value) else np.zeros(size, np.int64))
        self._channels[output] = Channels(1, np.concatenate(parts))
        return True

    def _product(self, node: ir.Node) -> bool:
        """Joins a product: one operand has the factors, the other none."""
        output = node.outputs[0]
        scaled = scalar_factor(node) is not None
        known = [v for v in node.inputs if v is not None and self.knows(v) and self._has_channels_of(v, output)]
        if (
            not known
            or node.inputs[0] is node.inputs[1]
            or (not scaled and any(const_array(value) is not None for value in node.inputs))
        ):
            return False
        carrier = next((value for value in known if self.of(value).ids.any()), known[0])
        for value in node.inputs:
            if value is not carrier:
                self._pin(value)
        self._channels[output] = self._channels[carrier]
        return True

    def _gate(self, node: ir.Node) -> bool:
        x = node.inputs[0]
        rank = None if x is None or x.shape is None else len(x.shape)
        if x is None or rank is None or rank < _PICTURE or not self.knows(x) or self._channels[x].axis != 1:
            return False
        self.gates.append(node)
        if has_trait(node, Trait.GATES_ITSELF):
            self._channels[node.outputs[0]] = self._channels[x]
        return True

    def _follow(self, node: ir.Node) -> bool:
        x, y = node.inputs[0], node.outputs[0]
        bounds = clamp_bounds(node)
        if has_trait(node, Trait.CLAMPS) and (bounds is None or not bounds[0] <= 0.0 <= bounds[1]):
            return False
        if has_trait(node, Trait.FILLS) and not _fills_zeros(node):
            return False
        if x is None or not self.knows(x) or not self._has_channels_of(x, y):
            return False
        elementwise = has_trait(node, Trait.CLAMPS | Trait.SLOPES | Trait.RESHAPES)
        if self._channels[x].axis != 1 and not elementwise:
            return False
        if bounds is not None:
            self.clamps.append(node)
        self._channels[y] = self._channels[x]
        return True

    def _reshape(self, node: ir.Node) -> bool:
        """[N, C, ...] as [N, C, ...] with as many elements to a channel, or as rows."""
        x, y = node.inputs[0], node.outputs[0]
        if (
            x is None
            or not self.knows(x)
            or self._channels[x].axis != 1
            or x.shape is None
            or y.shape is None
            or len(y.shape) < 2
        ):
            return False
        channels, positions, others = self._channels[x].ids, _positions(x), _positions(y)
        if positions is None or others is None:
            return False
        if y.shape[1] == len(channels) and positions == others:
            self._channels[y] = self._channels[x]
            return True
        if len(y.shape) > 2 or y.shape[1] != len(channels) * positions:
            return False
        self._channels[y] = Channels(1, np.repeat(channels, positions))
        return True

    def _has_channels_of(self, x: ir.Value, y: ir.Value) -> bool:
        """Whether `y` has as many channels as `x`, on the same axis."""
        channels = self._channels[x]
        return _rank(x) == _rank(y) and _size(y, channels.axis) == len(channels.ids)

    # --- classes ------------------------------------------------------------------------------------------------------------

    def _root(self, number: int) -> int:
        while self._parents[number] != number:
            self._parents[number] = self._parents[self._parents[number]]
            number = self._parents[number]
        return number

    def _union(self, one: int, other: int) -> None:
        """The smaller number counts, so that class 0 takes what is joined to it."""
        low, high = sorted((self._root(one), self._root(other)))
        self._parents[high] = low

    def _pin(self, value: ir.Value | None) -> None:
        if value is not None and value in self._channels:
            for number in self._channels[value].ids.tolist():
                self._union(0, number)


def _rank(value: ir.Value) -> int | None:
    return None if value.shape is None else len(value.shape)


def _size(value: ir.Value, axis: int) -> int | None:
    size = None if value.shape is None or len(value.shape) <= axis else value.shape[axis]
    return size if isinstance(size, int) else None


def _positions(value: ir.Value) -> int | None:
    """The elements of one channel of one sample."""
    sizes = [size for size in value.shape[2:] if isinstance(size, int)] if value.shape is not None else []
    return math.prod(sizes) if value.shape is not None and len(sizes) == len(value.shape) - 2 else None


def _fills_zeros(node: ir.Node) -> bool:
    """Whether what a Pad brings in is zero, or elements of the same channel; pads along channels change their number."""
    value = const_array(node.inputs[2]) if len(node.inputs) > 2 else None
    zero = len(node.inputs) < 3 or node.inputs[2] is None or (value is not None and not value.any())
    pads = const_array(node.inputs[1])
    if pads is None:
        return attr_ints(node, "pads", []) == []
    half = len(pads) // 2
    along = half > 1 and (pads[1] or pads[half + 1])
    return not along and (zero or attr_str(node, "mode", "constant") != "constant")
