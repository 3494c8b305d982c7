"""Which tensors must be looked at, so that no NaN or Inf passes unseen.

onnxruntime's ReduceMin and ReduceMax skip NaN, and MaxPool or a clamp can swallow what is not finite; ReduceSum notices all of
it, but costs. So finiteness is proved where it can be. Let every observed tensor satisfy |t| <= LIMIT, which its minimum and
maximum tell at run time. Then from finite inputs, by induction over the graph,

    |moved, clamped or averaged x|  <= |x|            |a + b| <= |a| + |b|            |a * b| <= |a| |b|
    |conv(x, w) + bias|             <= |x| max|w| size(w) + |bias|

and a tensor whose bound stays below `OVERFLOW` is finite in float32. Where no bound is known (inputs, Sqrt, Log, Exp, Div,
subgraphs) or it grows too large, the tensor is doubtful: its sum is watched, and its extremes start a new bound.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence

import onnx_ir as ir

from qconv.model.graph import attr_float, attr_str, const_array, is_float
from qconv.model.traits import Trait, has_trait

LIMIT = 1e15
OVERFLOW = 1e38  # float32 ends at 3.4e38; the rest is for the rounding of long sums


def doubtful(graph: ir.Graph, observed: Collection[str]) -> list[str]:
    """The float tensors of the main graph that are not proved finite, in graph order."""
    bounds: dict[ir.Value, float] = {}
    found = []
    for value in (*graph.inputs, *(value for node in graph for value in node.outputs)):
        if not is_float(value) or const_array(value) is not None or (value.shape is not None and 0 in list(value.shape)):
            continue
        bound = _bound(value.producer(), bounds)
        if not bound <= OVERFLOW:  # also for NaN, as 0 * inf
            found.append(str(value.name))
            bound = LIMIT
        bounds[value] = min(bound, LIMIT) if value.name in observed else bound
    return found


def _bound(node: ir.Node | None, bounds: dict[ir.Value, float]) -> float:
    rule = None if node is None else next((rule for trait, rule in _RULES.items() if has_trait(node, trait)), None)
    if node is None or rule is None:
        return math.inf
    operands = [value for value in node.inputs if value is not None and is_float(value)]
    return rule(node, [_magnitude(value, bounds) for value in operands])


def _magnitude(value: ir.Value, bounds: dict[ir.Value, float]) -> float:
    array = const_array(value)
    if array is None:
        return bounds.get(value, math.inf)
    return max(float(array.max()), -float(array.min())) if array.size else 0.0


# No element of the output is larger than all of the inputs.
_KEEPS = Trait.MOVES | Trait.JOINS | Trait.FILLS | Trait.AVERAGES | Trait.EXTREMES | Trait.CHOOSES | Trait.SHRINKS
Rule = Callable[[ir.Node, Sequence[float]], float]


def _largest(node: ir.Node, magnitudes: Sequence[float]) -> float:
    return max(magnitudes, default=math.inf)


def _clamped(node: ir.Node, magnitudes: Sequence[float]) -> float:
    """A bound of a clamp may be infinite, its output then is not."""
    return max((size for size in magnitudes if size < math.inf), default=math.inf)


def _resized(node: ir.Node, magnitudes: Sequence[float]) -> float:
    """Weights of nearest and linear interpolation are at most 1 in sum; cubic ones overshoot."""
    return math.inf if attr_str(node, "mode", "nearest") == "cubic" else magnitudes[0]


def _product(node: ir.Node, magnitudes: Sequence[float]) -> float:
    return math.prod(magnitudes)


def _leaky(node: ir.Node, magnitudes: Sequence[float]) -> float:
    return magnitudes[0] * max(1.0, abs(attr_float(node, "alpha", 0.01)))


def _weighted(node: ir.Node, magnitudes: Sequence[float]) -> float:
    """Every element of an output is a sum of at most size(w) products."""
    weight = node.inputs[1]
    if weight is None or weight.shape is None or not all(isinstance(size, int) for size in weight.shape):
        return math.inf
    terms = math.prod(int(size) for size in weight.shape if isinstance(size, int))
    factors = [abs(attr_float(node, name, 1.0)) for name in ("alpha", "beta")]
    return factors[0] * magnitudes[0] * magnitudes[1] * terms + factors[1] * sum(magnitudes[2:])


def _unit(node: ir.Node, magnitudes: Sequence[float]) -> float:
    return 1.0


_RULES: dict[Trait, Rule] = {
    Trait.CLAMPS: _clamped,
    Trait.WEIGHTS: _weighted,
    Trait.MULTIPLIES: _product,
    Trait.SUMS: lambda node, magnitudes: sum(magnitudes),
    Trait.BOUNDS: _unit,
    Trait.INTERPOLATES: _resized,
    Trait.SLOPES: _leaky,
    _KEEPS: _largest,
}
