"""SharedScales between tensors: which must share their parameters, and from which ranges those follow.

Ops that select, move or clamp values give their output the parameters of their input, so both belong to one group. A
group's range is the union of the ranges of its *observed* members. A member need not be observed when every consumer of
it selects from it within the group: saturating early is then the same as saturating late, and only what comes out at the
end counts. That is how a Conv in front of a Relu, or of a MaxPool, takes the range of what follows it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.model.graph import attr_str, const_array, is_float, sole_consumer
from qconv.model.measured import measured_reals, only_measures
from qconv.model.traits import Trait, has_trait
from qconv.ops.forms import compares_with_infinity
from qconv.ops.op_table import Role, reads_integers, role_of, rule_of, spec_of
from qconv.ops.scale_rules import Averages, Fixed, Same, Scaled, Shared, Within
from qconv.plan.apart import parts_to_observe
from qconv.plan.wide import is_wide_join, wide_tensors
from qconv.quant.grids import Grid, power_of_two
from qconv.quant.pins import with_sign
from qconv.quant.types import IntType, QuantParams


@dataclass(eq=False)
class Group:
    """Tensors with one (S, Z). `fixed`, `values` and `scaled_from` decide it without a range; `within` bounds it.

    `values` are the constants that its members are chosen from.
    """

    members: list[ir.Value] = field(default_factory=list)
    fixed: QuantParams | None = None
    values: NDArray[np.floating] | None = None
    within: QuantParams | None = None
    scaled_from: tuple[ir.Value, float] | None = None

    @property
    def decided(self) -> bool:
        """Whether no range is needed."""
        return self.fixed is not None or self.values is not None or self.scaled_from is not None

    @property
    def settled(self) -> bool:
        """Whether it keeps its parameters beside others that are free: decided, or bounded by the mathematics of an op."""
        return self.decided or self.within is not None


class SharedScales:
    """The groups of a prepared float graph, given the nodes that stay in float; those of `apart` move reals at its ends."""

    def __init__(
        self,
        graph: ir.Graph,
        float_nodes: Mapping[str, str],
        type_of: Callable[[ir.Value], IntType],
        apart: Mapping[str, str] | None = None,
        pinned: Mapping[str, QuantParams] = {},
        grid: Grid = Grid.FREE,
    ) -> None:
        """`pinned` are parameters that tensors have already, `grid` says what scales and multipliers may be.

        `type_of` tells what is asked for of a tensor; a group has the fewest bits that are asked for of its members.
        """
        self._graph, self._type_of, self._grid = graph, type_of, grid
        self._groups: dict[ir.Value, Group] = {}
        self._float_nodes = {**float_nodes, **(apart or {})}
        self._parts = parts_to_observe(graph, float_nodes)
        for node in self.integer_nodes():
            for value in data_values(node):
                group = self._group(value)
                if value.name in pinned:
                    group.fixed = with_sign(pinned[str(value.name)], type_of(value).signed)
        nodes = list(self.integer_nodes())
        self._wide = wide_tensors(nodes).tensors if any(map(is_wide_join, nodes)) else frozenset()
        for node in nodes:
            self._tie(node)

    def integer_nodes(self) -> Iterator[ir.Node]:
        """The nodes that become integer, in graph order."""
        return integer_nodes(self._graph, self._float_nodes)

    def group(self, value: ir.Value) -> Group | None:
        """The group of a tensor, or None where it stays in float."""
        return self._groups.get(value)

    def groups(self) -> list[Group]:
        """All groups, each once, in graph order of their first member."""
        return list(dict.fromkeys(self._groups.values()))

    def bits(self, group: Group) -> int:
        """The fewest bits that are asked for of a member; of a constant nothing is."""
        return min(
            (self._type_of(value).bits for value in group.members if const_array(value) is None),
            default=self._type_of(group.members[0]).bits,
        )

    def observed(self) -> list[ir.Value]:
        """The tensors whose ranges calibration must deliver, in graph order."""
        return [v for v, group in self._groups.items() if not group.decided and const_array(v) is None and not self._implied(v)]

    def join_alike(self, span: Callable[[Group], tuple[float, float]], limit: float) -> None:
        """Joins the inputs of a Concat with its output where the joint range is at most `limit` times each one's own."""
        for node in self.integer_nodes():
            ties = isinstance(rule_of(node), Shared) and node.outputs[0].name not in self._wide
            for value in _data_inputs(node) if ties else ():
                (lo, hi), (low, high) = span(self._groups[node.outputs[0]]), span(self._groups[value])
                if max(hi, high) - min(lo, low) <= limit * min(hi - lo, high - low):
                    self._join(node, value)

    def join_sums(self, span: Callable[[Group], tuple[float, float]], limit: float) -> None:
        """Joins the operands of sums with them, unless the joint range is more than `limit` times that of the sum."""
        for node in self.integer_nodes():
            for value in _data_inputs(node) if has_trait(node, Trait.SUMS) else ():
                (lo, hi), (low, high) = span(self._groups[node.outputs[0]]), span(self._groups[value])
                if const_array(value) is None and max(hi, high) - min(lo, low) <= limit * (hi - lo):
                    self._join(node, value)

    def _join(self, node: ir.Node, value: ir.Value) -> None:
        output, own = self._groups[node.outputs[0]], self._groups[value]
        if own is not output and not own.settled and not output.settled and self.bits(own) == self.bits(output):
            self._union(node.outputs[0], value)

    def readers(self, group: Group) -> list[ir.Node]:
        """What reads the members of a group, besides what passes them on within it; none where one is an output."""
        if any(member.is_graph_output() for member in group.members):
            return []
        pairs = [(user, member) for member in group.members for user in member.consumers() if not has_trait(user, Trait.MEASURES)]
        readers = (user for user, member in pairs if not self._selects(user, member) and not compares_with_infinity(user))
        return list(dict.fromkeys(readers))

    def _group(self, value: ir.Value) -> Group:
        if value not in self._groups:
            self._groups[value] = Group([value])
        return self._groups[value]

    def _union(self, a: ir.Value, b: ir.Value) -> bool:
        """Merges two groups unless both are decided already; says whether they are one now."""
        first, second = self._group(a), self._group(b)
        if first is second:
            return True
        if first.settled and second.settled:
            return False
        first.members += second.members
        first.fixed, first.within = first.fixed or second.fixed, first.within or second.within
        first.values = second.values if first.values is None else first.values
        first.scaled_from = first.scaled_from or second.scaled_from
        for member in second.members:
            self._groups[member] = first
        return True

    def _tie(self, node: ir.Node) -> None:
        outputs = [v for v in node.outputs if is_float(v)]
        match rule_of(node):
            case Same() | Averages():
                for output in outputs:
                    if not self._pads_beyond(node):
                        self._union(_first_data(node), output)
            case Shared() if outputs[0].name in self._wide:
                return  # each part comes in steps of its own
            case Shared():
                inputs = _data_inputs(node)
                constants = [array.reshape(-1) for value in inputs if (array := const_array(value)) is not None]
                if has_trait(node, Trait.CHOOSES) and len(constants) == len(inputs):
                    self._group(outputs[0]).values = np.concatenate(constants)
                    return
                for value in dict.fromkeys(inputs):
                    # An input that is used elsewhere, or whose parameters are decided, keeps them and is rescaled here.
                    if const_array(value) is not None or (sole_consumer(value) is node and not self._group(value).settled):
                        self._union(outputs[0], value)
            case Fixed(params):
                group = self._group(outputs[0])
                group.fixed = group.fixed or self._allowed(params(node, self._type_of(outputs[0])))
            case Within(params):
                group = self._group(outputs[0])
                group.within = self._allowed(params(node, self._type_of(outputs[0])))
                if group.fixed is not None and _beyond_kernel(node, group.fixed):
                    group.fixed = None  # the codes are rescaled for those that want the given ones
            case Scaled(factor):
                source = next(v for v in _data_inputs(node) if const_array(v) is None)
                self._group(outputs[0]).scaled_from = (source, factor)

    def _allowed(self, params: QuantParams) -> QuantParams:
        """Parameters from the mathematics of an op; their scale as a power of two where all are to be some."""
        return replace(params, scale=power_of_two(params.scale)) if self._grid.powers else params

    def _pads_beyond(self, node: ir.Node) -> bool:
        """Whether a Pad brings in a value that the fixed parameters of what it pads have no code for."""
        group = self._group(_first_data(node))
        limits, value = group.fixed or group.within, const_array(node.inputs[2]) if _adds_values(node) else None
        if limits is None or value is None:
            return False
        low, high = limits.ends
        return not low <= float(value.reshape(())) <= high

    def _implied(self, value: ir.Value) -> bool:
        """Whether the range of `value` follows from members that are observed anyway."""
        producer = value.producer()
        if value in self._parts:
            return False
        if producer is not None and self._selects(producer, value) and not _adds_values(producer):
            source = _first_data(producer)
            if self._groups.get(source) is self._groups[value] and const_array(source) is None and not self._implied(source):
                return True
        users = [user for user in value.consumers() if not has_trait(user, Trait.MEASURES)]
        return bool(users) and not value.is_graph_output() and all(self._selects(user, value) for user in users)

    def _selects(self, node: ir.Node, value: ir.Value) -> bool:
        """Whether a node passes `value` on within its group by selecting, moving or clamping."""
        if node.graph is not self._graph or node.name in self._float_nodes or spec_of(node) is None:
            return False
        if not isinstance(rule_of(node), Same | Shared):
            return False
        return all(self._groups.get(output) is self._groups[value] for output in node.outputs if is_float(output))


def _beyond_kernel(node: ir.Node, params: QuantParams) -> bool:
    """Whether the kernel of an op that bounds its output does not bear these parameters there."""
    spec = spec_of(node)
    return spec is not None and spec.limit(node, {str(node.outputs[0].name): params}) is not None


def integer_nodes(graph: ir.Graph, float_nodes: Mapping[str, str]) -> Iterator[ir.Node]:
    """The nodes of a graph that become integer: those of the op table that read or make float data, less the excepted ones.

    Nodes that compute with shapes alone are none of them.
    """
    measured = measured_reals(graph)
    return (
        node
        for node in graph
        if node.name not in float_nodes and spec_of(node) is not None and _has_data(node) and not only_measures(node, measured)
    )


def _has_data(node: ir.Node) -> bool:
    return bool(_data_inputs(node)) or (reads_integers(node) and is_float(node.outputs[0]))


def data_values(node: ir.Node) -> Iterator[ir.Value]:
    """The float tensors of a node that bear activation parameters: its data inputs, then its outputs."""
    yield from _data_inputs(node)
    yield from (v for v in node.outputs if is_float(v))


def _data_inputs(node: ir.Node) -> list[ir.Value]:
    absorbed = isinstance(rule_of(node), Scaled) or has_trait(node, Trait.CHOOSES)  # they take the parameters of the output
    reals = [v for i, v in enumerate(node.inputs) if v is not None and role_of(node, i) is Role.DATA and is_float(v)]
    return [v for v in reals if not absorbed or const_array(v) is None] or reals  # a Where may choose between constants alone


def _first_data(node: ir.Node) -> ir.Value:
    return _data_inputs(node)[0]


def _adds_values(node: ir.Node) -> bool:
    """Whether an op of rule SAME may bring in values that its input does not have."""
    return has_trait(node, Trait.FILLS) and attr_str(node, "mode", "constant") == "constant" and len(node.inputs) > 2
