"""What is odd about a place, from its numbers alone: outliers, channels far apart, masks, functions that are steep.

A fault is what training hardly ever leaves behind: one weight or one bias far beyond all others, a channel scaled and undone, a
mask that shares its codes with what it is added to. A place with one comes before all that only cost more, maybe because of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import onnx_ir as ir

from qconv.analyze.places import Place
from qconv.analyze.sensitivity import PlaceLoss
from qconv.model.graph import const_array
from qconv.model.traits import Trait, has_trait
from qconv.ops.forms import as_groups, bias_of, channel_axis
from qconv.ops.op_table import has_weight
from qconv.recover.channels.extremes import Extremes
from qconv.statistics.summary import Summary

_OUTLIER_WEIGHT = 16.0  # times the root mean square of all weights of the output channel; a normal distribution has 4 to 5
_FEWEST_WEIGHTS, _MOST_OF_ROOT = 128, 0.9
_OUTLIER_VALUE = 40.0  # standard deviations of an activation
_FAR_APART = 16.0  # widths of channels: the narrowest third has 16 codes and less
_LARGE_BIAS = 16.0  # times the root mean square of what the layer adds to it
_LOST_DB = 15.0
_FAR_WEIGHT, _NEXT_WEIGHT = 16.0, 4.0  # times the root mean square of the layer's other weights, and the next one of the channel
_SCALED = 300.0  # widths of the channels that a layer makes
_LEAST_MASK, _OF_TWO_VALUES = 1000.0, 1e-3
_COSTS_DB = 40.0  # a mask that costs less is no fault


class Rank(IntEnum):
    """How sure it is that something is wrong."""

    PARAMETER = 0
    SCALE = 1
    ODD = 2


@dataclass(frozen=True)
class Finding:
    """A sentence without its place."""

    text: str
    rank: Rank = Rank.ODD


@dataclass(frozen=True)
class Known:
    """What calibration and samples told of the tensors of a network."""

    summaries: Mapping[str, Summary]
    extremes: Mapping[str, Extremes]


def findings(graph: ir.Graph, loss: PlaceLoss, known: Known) -> tuple[Finding, ...]:
    """What is odd, the most telling first; nothing for most places."""
    nodes = {str(node.name): node for node in graph}
    place, found = loss.place, list[Finding]()
    node = nodes.get(place.node)
    if node is not None and place.weight is not None and has_weight(node):
        found += _of_weight(node)
        found += _of_bias(node, place, known)
    if node is not None and has_trait(node, Trait.SUMS):
        found += _of_mask(node, known, costs=loss.alone.both[max(loss.alone.both)] < _COSTS_DB)
    for tensor in place.tensors if node is None or not has_trait(node, Trait.BOUNDS) else ():
        found += _of_tensor(tensor, known, made_by_layer=place.weight is not None)
    activation = loss.alone.activation
    if activation is not None and activation[max(activation)] < _LOST_DB and place.readers:
        kinds = [f"{name} ({nodes[name].op_type})" for name in place.readers[:3] if name in nodes]
        found.append(Finding(f"the steps of its codes are too large for {', '.join(kinds)}, which reads them"))
    return tuple(sorted(found, key=lambda finding: finding.rank))


def _of_weight(node: ir.Node) -> list[Finding]:
    weight = const_array(node.inputs[1])
    if weight is None or weight.ndim < 2 or (weight.ndim > 2 and channel_axis(node) is None):
        return []
    rows = as_groups(node, weight).astype(np.float64)
    rows = rows.reshape(rows.shape[0] * rows.shape[1], -1)
    largest = np.sort(np.abs(rows), axis=1)[:, -2:]
    at = int(largest[:, -1].argmax())
    far = float(largest[at, -1])
    others = math.sqrt(max(float(np.square(rows).sum()) - far**2, 0.0) / max(rows.size - 1, 1))
    if far > _FAR_WEIGHT * others and far > _NEXT_WEIGHT * largest[at, 0] and rows.shape[1] > 1:
        times = f"{far / max(others, 1e-30):.0f} times the root mean square of the others"
        return [Finding(f"a weight of output channel {at}, {far:.4g}, is {times}", Rank.PARAMETER)]
    if rows.shape[1] < _FEWEST_WEIGHTS:  # one weight among n is at most sqrt(n) times their root mean square
        return []
    spread = np.sqrt(np.square(rows).mean(axis=1))
    ratio = np.abs(rows).max(axis=1) / np.maximum(spread, 1e-30)
    worst, limit = int(ratio.argmax()), min(_OUTLIER_WEIGHT, _MOST_OF_ROOT * math.sqrt(rows.shape[1]))
    if ratio[worst] <= limit:
        return []
    return [Finding(f"a weight of output channel {worst} is {ratio[worst]:.0f} times the root mean square of its channel")]


def _of_bias(node: ir.Node, place: Place, known: Known) -> list[Finding]:
    bias = bias_of(node)
    seen = [known.extremes[name] for name in place.tensors if name in known.extremes]
    if bias is None or not seen or bias.size != seen[0].hi.size or bias.size < 4:
        return []
    size = np.abs(bias.astype(np.float64))
    worst, others = int(size.argmax()), float(np.median(size))
    varies = float(np.median(np.sqrt(seen[0].square)))
    if size[worst] > _LARGE_BIAS * max(others, varies, 1e-30):
        times = size[worst] / max(others, 1e-30)
        text = f"the bias of output channel {worst}, {bias.reshape(-1)[worst]:.4g}, is {times:.0f} times the median"
        return [Finding(text, Rank.PARAMETER)]
    return []


def _of_mask(node: ir.Node, known: Known, *, costs: bool) -> list[Finding]:
    """What is added has two values, of which one is zero and the other nothing that a score reaches."""
    for value in node.inputs:
        array, summary = const_array(value), known.summaries.get("" if value is None else str(value.name))
        if array is not None and array.size > 1:
            exact = array.astype(np.float64)
            lo, hi, mean, square = (float(x) for x in (exact.min(), exact.max(), exact.mean(), np.square(exact).mean()))
        elif summary is not None and summary.elements:
            lo, hi, mean = summary.lo, summary.hi, summary.mean
            square = summary.variance + mean**2
        else:
            continue
        far = lo if -lo > hi else hi
        if abs(far) > _LEAST_MASK and lo * hi == 0.0 and abs(square - far * mean) <= _OF_TWO_VALUES * square:
            text = f"it adds a mask of 0 and {far:.4g}, far beyond what it is added to; both share the codes of the sum"
            return [Finding(text, Rank.SCALE if costs else Rank.ODD)]
    return []


def _of_tensor(tensor: str, known: Known, *, made_by_layer: bool) -> list[Finding]:
    found = []
    summary, channels = known.summaries.get(tensor), known.extremes.get(tensor)
    if summary is not None and summary.elements:
        deviation = float(np.sqrt(summary.variance))
        reach = max(abs(summary.lo - summary.mean), abs(summary.hi - summary.mean))
        if deviation > 0 and reach > _OUTLIER_VALUE * deviation:
            span = f"[{summary.lo:.4g}, {summary.hi:.4g}]"
            found.append(Finding(f"{tensor} reaches {reach / deviation:.0f} standard deviations from its mean, {span}"))
    if channels is not None:
        widths = np.sort(np.maximum(channels.hi, 0.0) - np.minimum(channels.lo, 0.0))
        low, high = float(widths[len(widths) // 3]), float(widths[-1])
        if low > 0 and high > _FAR_APART * low:
            times = high / low
            text = f"the channels of {tensor} are far apart: a third is {times:.0f} times narrower than the widest"
            found.append(Finding(text, Rank.SCALE if made_by_layer and times > _SCALED else Rank.ODD))
    return found
