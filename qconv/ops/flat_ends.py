"""The part of a range that the readers of a tensor tell apart.

What lies where a function is flat, such as the sums in front of a HardSwish below -3, needs no codes: saturated, it gives the
same results, and the steps of all other values become finer. A function f of one element is flat from the least value of a range
to t where

    | f(x) - f(t) |  <=  (max f - min f) / (4 . 255)    for all x <= t

a fourth of a step of its output in 8 bits, or in 12 where the output has 16 (plan/fine.py); in the same way at the upper end.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.model.evaluate import Attribute, run_node
from qconv.model.graph import const_array
from qconv.model.traits import Trait, has_trait

Range = tuple[float, float]
_FUNCTIONS = Trait.CURVES | Trait.GATES | Trait.GATES_ITSELF | Trait.BOUNDS
_POINTS = 4097
_OF_A_STEP, _STEPS = 0.25, 255
_FINE_STEPS = 4095  # of a function whose output has 16 bits
_WORTH = 0.95  # of the width: a range that is hardly narrower stays as it is


def useful_range(value: ir.Value, whole: Range, fine: Collection[str] = ()) -> Range:
    """`whole` without the ends at which all readers of the tensor are flat; zero stays in it.

    Those that make the tensors of `fine` tell more apart.
    """
    low, high = whole
    if not low < high or not np.isfinite(whole).all():
        return whole
    found = _told_apart(value, (low, high), fine)
    if found is None:
        return whole
    narrow = min(max(low, found[0]), 0.0), max(min(high, found[1]), 0.0)
    return narrow if narrow[1] - narrow[0] < _WORTH * (high - low) else whole


def _told_apart(value: ir.Value, whole: Range, fine: Collection[str]) -> Range | None:
    """The least range outside of which all readers are flat; None where one of them tells all values apart."""
    readers = list(dict.fromkeys(node for node, _ in value.uses()))
    if value.is_graph_output() or not readers:
        return None
    return _union([_of_reader(node, value, whole, fine) for node in readers])


def _union(found: Sequence[Range | None]) -> Range | None:
    known = [ends for ends in found if ends is not None]
    if not known or len(known) < len(found):
        return None
    return min(low for low, _ in known), max(high for _, high in known)


def _of_reader(node: ir.Node, value: ir.Value, whole: Range, fine: Collection[str]) -> Range | None:
    if (has_trait(node, Trait.MOVES) and value is node.inputs[0]) or has_trait(node, Trait.JOINS):
        ends = [_told_apart(output, whole, fine) for output in node.outputs if output.uses() or output.is_graph_output()]
        return _union(ends)
    function = _function(node, value, whole)
    steps = _FINE_STEPS if node.outputs[0].name in fine else _STEPS
    return None if function is None else _steep_part(*function, steps)


def _function(node: ir.Node, value: ir.Value, whole: Range) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Points of the range, and what a node makes of them where it is a function of this tensor alone."""
    points = np.linspace(*whole, _POINTS)
    if _is_function_of(node, value):
        return points, _values_of(node, whole)
    if not has_trait(node, Trait.MULTIPLIES) or len(node.inputs) != 2 or value not in node.inputs:
        return None
    other = node.inputs[1 - node.inputs.index(value)]
    gate = None if other is None or other is value else other.producer()
    return (points, points * _values_of(gate, whole)) if gate is not None and _is_function_of(gate, value) else None


def _is_function_of(node: ir.Node, value: ir.Value) -> bool:
    others = [const_array(v) for v in node.inputs[1:] if v is not None]
    return (
        has_trait(node, _FUNCTIONS) and not has_trait(node, Trait.PROBABILITIES) and node.inputs[0] is value
        and all(array is not None and array.size == 1 for array in others)
    )  # fmt: skip


def _values_of(node: ir.Node, whole: Range) -> NDArray[np.float64]:
    attributes = tuple((a.name, a.value) for a in node.attributes.values())
    others = [const_array(value) for value in node.inputs[1:]]
    return _values(
        node.op_type, node.domain, attributes, tuple(None if a is None else float(a.reshape(())) for a in others), whole
    )


@lru_cache(maxsize=1024)  # plans are made many times over, and networks have few functions
def _values(
    op_type: str, domain: str, attributes: tuple[tuple[str, Attribute], ...], others: tuple[float | None, ...], whole: Range
) -> NDArray[np.float64]:
    arrays = [np.linspace(*whole, _POINTS, dtype=np.float32), *(None if x is None else np.float32(x) for x in others)]
    return run_node(op_type, [None if a is None else np.asarray(a) for a in arrays], domain=domain, attributes=dict(attributes))[
        0
    ]


def _steep_part(points: NDArray[np.float64], values: NDArray[np.float64], steps: int) -> Range | None:
    """Where the function is not flat; None where it has no values, or is flat everywhere."""
    if not np.isfinite(values).all():
        return None
    allowed = float(np.ptp(values)) * _OF_A_STEP / steps
    first, last = _flat_from_start(values, allowed), len(values) - 1 - _flat_from_start(values[::-1], allowed)
    return (float(points[first]), float(points[last])) if first < last else None


def _flat_from_start(values: NDArray[np.float64], allowed: float) -> int:
    """The last place up to which every value is close to all that come before it."""
    away = np.maximum(np.maximum.accumulate(values) - values, values - np.minimum.accumulate(values))
    beyond = np.flatnonzero(away > allowed)
    return int(beyond[0]) - 1 if beyond.size else len(values) - 1
