"""Functions that vary faster than 8 bits of their input can follow, such as the logarithm of energies.

What 8 bits leave of a function f is estimated from the histogram of its input x, with the codes q(x) of the plan:

    SQNR = var f(x) / E (f(q(x)) - f(x))^2

A product is off by as large a part of itself as its factors are, and a quotient as its divisor: there E f(x)^2 takes the place
of the variance.

Where that is too little, the node and the nodes that lead to it are taken together, back to tensors that 8 bits serve well. In
these the typical element has many codes: the expected share of noise v / (x^2 + v), v = S^2 / 12, is small. Where x itself is
such a tensor, finer steps help only if all that leads to it is finer, so that the nodes begin at the inputs of the graph.

All of them become wide integers (lower/steep.py) where each has such a form. Else they stay in float, unless everything is to be
integer. Many nodes do so only as a front end that makes the network useless in 8 bits, and where some of the weights stand behind
them. Else a warning is all that is left.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.model.evaluate import function_of
from qconv.model.graph import const_array, is_float
from qconv.model.traits import Trait, has_trait
from qconv.ops.wide_forms import has_wide_form
from qconv.quant.types import QuantParams


@dataclass(frozen=True)
class Distribution:
    """The values [n] of a tensor that calibration met, and how many of each."""

    values: NDArray[np.float64]
    counts: NDArray[np.float64]


DistributionOf = Callable[[str], Distribution | None]

_LOWEST_DB = 27.0
_COARSE = 0.02  # share of noise in a tensor that 8 bits do not serve
MOST_NODES = 12
_UNUSABLE_DB = 15.0
_MOST_WEIGHTS = 0.6  # of those of the network, in a region of many nodes
_ALIKE = Trait.SUMS | Trait.MULTIPLIES | Trait.MOVES | Trait.CLAMPS | Trait.NEGATES
BITS_OF_INPUT, _BITS_OF_SUMS = 15, 20  # what wide integers resolve at least of the largest


@dataclass(frozen=True)
class Steep:
    """`nodes` work on the `wide` tensors; those of `in_float` stay as they are, each with the reason.

    The tensors of `fine` have codes of 16 bits (fine.py).
    """

    nodes: frozenset[str] = frozenset()
    wide: frozenset[str] = frozenset()
    in_float: Mapping[str, str] = field(default_factory=dict)
    fine: frozenset[str] = frozenset()

    def joined(self, other: Steep) -> Steep:
        """Both together; what one leaves in float, the other cannot have wide."""
        in_float = {**self.in_float, **other.in_float}
        return Steep(self.nodes | other.nodes, self.wide | other.wide, in_float, self.fine | other.fine)


@dataclass(frozen=True)
class SteepFunction:
    """A node, what 8 bits of its input `x` would leave of its output in dB, and x in finer steps.

    `region` are the nodes that lead to it, itself the first; `inputs` are inputs of the graph among what they read.
    """

    node: ir.Node
    x: ir.Value
    db: float
    fine_db: float
    region: tuple[ir.Node, ...]
    inputs: tuple[ir.Value, ...] = ()

    @property
    def has_table(self) -> bool:
        """Whether it is a function of x alone, which a table can be of."""
        return not has_trait(self.node, Trait.DIVIDES)

    @property
    def trouble(self) -> str:
        """What is wrong, for a person."""
        return f"it varies faster than 8 bits of its input {self.x.name} can follow: about {self.db:.0f} dB would be left of it"


def steep_functions(
    nodes: Collection[ir.Node], tensors: Mapping[str, QuantParams], met_of: DistributionOf
) -> Iterator[SteepFunction]:
    """The steep ones among the integer nodes."""
    for node in nodes:
        place = _place(node)
        x = None if place is None else node.inputs[place]
        if place is None or x is None:
            continue
        params, met = tensors.get(str(x.name)), met_of(str(x.name))
        y = tensors.get(str(node.outputs[0].name))
        if params is None or met is None or params.int_type.bits < 8 or params.axis is not None or not met.values.size:
            continue
        db = _left(node, place, met, params, float(params.scale), y)
        if db >= _LOWEST_DB:
            continue
        region, inputs = region_of(x, node, nodes, tensors, met_of)
        step = max(map(abs, params.ends)) / 2 ** (BITS_OF_INPUT if inputs else _BITS_OF_SUMS)
        yield SteepFunction(node, x, db, _left(node, place, met, params, step, y), region, inputs)


def settle(
    nodes: Collection[ir.Node],
    tensors: Mapping[str, QuantParams],
    met_of: DistributionOf,
    *,
    float_inputs: bool,
    keep_integer: bool,
) -> Steep:
    """What becomes of the steep functions among the integer nodes of a plan: wide, or in float, or as they are.

    `float_inputs` says that the graph takes reals, `keep_integer` that no node may stay in float.
    """
    found = Steep()
    for steep in steep_functions(nodes, tensors, met_of):
        few = len(steep.region) <= MOST_NODES
        if not few and not _is_front_end(steep, nodes):
            continue
        if few and steep.fine_db >= _LOWEST_DB and steep.has_table and all(map(has_wide_form, steep.region[1:])):
            values = [*(steep.inputs if float_inputs else ()), *(n.outputs[0] for n in steep.region[1:])]
            names = frozenset(str(n.name) for n in steep.region)
            found = found.joined(Steep(names, frozenset(str(v.name) for v in values)))
        elif not keep_integer and (float_inputs or not steep.inputs):
            found = found.joined(Steep(in_float={str(n.name): _reason(n, steep) for n in steep.region}))
    taken = {str(n.name) for n in nodes if n.name in found.in_float}
    if taken & found.nodes:  # a node on the way to two of them stays in float for both
        return Steep(in_float=found.in_float)
    return found


def steep_warnings(
    nodes: Collection[ir.Node],
    tensors: Mapping[str, QuantParams],
    steep: Collection[str],
    met_of: DistributionOf,
    *,
    float_inputs: bool,
) -> list[str]:
    """A sentence for each steep function that a plan has in 8 bits nevertheless, with something to try."""
    found = (s for s in steep_functions(nodes, tensors, met_of) if s.node.name not in steep or (s.inputs and not float_inputs))
    return [
        f"node {s.node.name} will be poor: {s.trouble}; leave it and what makes its input in float (--exclude), or give the "
        "network that input in a narrower range"
        for s in found
    ]


def _reason(node: ir.Node, steep: SteepFunction) -> str:
    if node is steep.node:
        return f"{steep.trouble}; a narrower range of {steep.x.name} would let it become integer"
    return f"it leads to {steep.node.name}, which varies faster than 8 bits of its input can follow"


def _place(node: ir.Node) -> int | None:
    """Which input a function of one element reads; a quotient is as steep as the reciprocal of its divisor."""
    if has_trait(node, Trait.DIVIDES):
        return 1 if len(node.inputs) == 2 and const_array(node.inputs[1]) is None else None
    if not has_trait(node, Trait.CURVES):
        return None
    others = [const_array(value) for value in node.inputs[1:] if value is not None]
    return 0 if const_array(node.inputs[0]) is None and all(a is not None and a.size == 1 for a in others) else None


def _left(node: ir.Node, place: int, met: Distribution, x: QuantParams, step: float, y: QuantParams | None) -> float:
    """What steps of this width leave of a function of x, in dB."""
    points, weights = met.values, met.counts
    low, high = x.ends
    codes = np.rint(np.clip(points, low, high) / step) * step
    exact, rounded = (_function(node, place, values) for values in (points, codes))
    known = np.isfinite(exact)
    if not known.any():
        return float("inf")
    lo, hi = (float(exact[known].min()), float(exact[known].max())) if y is None or place else y.ends
    exact, weights = np.clip(exact[known], lo, hi), weights[known]
    rounded = np.clip(np.where(np.isnan(rounded[known]), lo, rounded[known]), lo, hi)
    mean = 0.0 if place or _is_factor(node.outputs[0]) else np.average(exact, weights=weights)
    signal, noise = np.average((exact - mean) ** 2, weights=weights), np.average((rounded - exact) ** 2, weights=weights)
    return float("inf") if noise <= 0 or signal <= 0 else float(10 * np.log10(signal / noise))


def _is_factor(value: ir.Value) -> bool:
    """Whether nothing but products and quotients read a tensor."""
    users = value.consumers()
    return bool(users) and not value.is_graph_output() and all(has_trait(u, Trait.MULTIPLIES | Trait.DIVIDES) for u in users)


def _function(node: ir.Node, place: int, reals: NDArray[np.float64]) -> NDArray[np.float64]:
    if place:
        with np.errstate(all="ignore"):
            return 1.0 / reals
    return function_of(node, place, reals).reshape(-1).astype(np.float64)


def _is_coarse(value: ir.Value, tensors: Mapping[str, QuantParams], met_of: DistributionOf) -> bool:
    """Whether noise is a large share of the typical element of a tensor in 8 bits, as far as is known."""
    params, met, maker = tensors.get(str(value.name)), met_of(str(value.name)), value.producer()
    if met is None and maker is not None and has_trait(maker, Trait.MOVES) and maker.inputs[0] is not None:
        return _is_coarse(maker.inputs[0], tensors, met_of)
    values = np.zeros(0) if met is None else met.values
    if params is None or met is None or not values.any():
        return True
    noise, there = float(params.scale) ** 2 / 12, values != 0
    share = np.average(noise / (values[there] ** 2 + noise), weights=met.counts[there])
    return bool(share > _COARSE)


def region_of(
    x: ir.Value, node: ir.Node, nodes: Collection[ir.Node], tensors: Mapping[str, QuantParams], met_of: DistributionOf
) -> tuple[tuple[ir.Node, ...], tuple[ir.Value, ...]]:
    """The nodes back to tensors that 8 bits serve, and the inputs of the graph that they begin at.

    A tensor that differs from x by a factor and a constant serves no better than x.
    """
    from_inputs = not _is_coarse(x, tensors, met_of)
    found, inputs, pending = {node: None}, dict[ir.Value, None](), [(x, True)]
    while pending:
        value, alike = pending.pop()
        maker = value.producer()
        served = not alike and not from_inputs and not _is_coarse(value, tensors, met_of)
        if served or maker in found:
            continue
        if maker is None and value.is_graph_input():
            inputs[value] = None
        if maker is None or maker not in nodes:
            continue
        found[maker] = None
        operands = [v for v in maker.inputs if v is not None and is_float(v) and const_array(v) is None]
        same = alike and len(operands) == 1 and has_trait(maker, _ALIKE)
        pending += [(v, same) for v in operands]
    return tuple(found), tuple(inputs)


def _is_front_end(steep: SteepFunction, nodes: Collection[ir.Node]) -> bool:
    """Whether 8 bits make a network useless at a curve, and many weights stand behind what leads to it from the inputs."""
    useless = steep.has_table and bool(steep.inputs) and steep.db < _UNUSABLE_DB
    return useless and _share_of_weights(steep.region, nodes) <= _MOST_WEIGHTS


def _share_of_weights(region: Collection[ir.Node], nodes: Collection[ir.Node]) -> float:
    """Which share of the weights of the nodes those of a region have; equal ones are counted once."""
    within, whole = (_count_of_weights(part) for part in (region, nodes))
    return within / whole if whole else 1.0


def _count_of_weights(nodes: Collection[ir.Node]) -> int:
    layers = [node for node in nodes if has_trait(node, Trait.WEIGHTS)]
    arrays = [array for node in layers for value in node.inputs if (array := const_array(value)) is not None]
    return sum(size for _, size in {(hash(array.tobytes()), array.size) for array in arrays})
