"""What is odd about a place, from its numbers alone: outliers, channels far apart, functions that are steep."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from qconv.analyze.places import Place
from qconv.analyze.sensitivity import PlaceLoss
from qconv.model.graph import const_array
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


@dataclass(frozen=True)
class Known:
    """What calibration and samples told of the tensors of a network."""

    summaries: Mapping[str, Summary]
    extremes: Mapping[str, Extremes]


def findings(graph: ir.Graph, loss: PlaceLoss, known: Known) -> tuple[str, ...]:
    """Sentences, the most telling first; none where nothing is odd."""
    nodes = {str(node.name): node for node in graph}
    place, found = loss.place, []
    node = nodes.get(place.node)
    if node is not None and place.weight is not None and has_weight(node):
        found += _of_weight(node)
        found += _of_bias(node, place, known)
    for tensor in place.tensors:
        found += _of_tensor(tensor, known)
    activation = loss.alone.activation
    if activation is not None and activation[max(activation)] < _LOST_DB and place.readers:
        kinds = [f"{name} ({nodes[name].op_type})" for name in place.readers[:3] if name in nodes]
        found.append(f"the steps of its codes are too large for {', '.join(kinds)}, which reads them")
    return tuple(found)


def _of_weight(node: ir.Node) -> list[str]:
    weight = const_array(node.inputs[1])
    if weight is None or weight.ndim < 2 or (weight.ndim > 2 and channel_axis(node) is None):
        return []
    rows = as_groups(node, weight).astype(np.float64)
    rows = rows.reshape(rows.shape[0] * rows.shape[1], -1)
    if rows.shape[1] < _FEWEST_WEIGHTS:  # one weight among n is at most sqrt(n) times their root mean square
        return []
    spread = np.sqrt(np.square(rows).mean(axis=1))
    ratio = np.abs(rows).max(axis=1) / np.maximum(spread, 1e-30)
    worst, limit = int(ratio.argmax()), min(_OUTLIER_WEIGHT, _MOST_OF_ROOT * math.sqrt(rows.shape[1]))
    if ratio[worst] <= limit:
        return []
    return [f"a weight of output channel {worst} is {ratio[worst]:.0f} times the root mean square of its channel"]


def _of_bias(node: ir.Node, place: Place, known: Known) -> list[str]:
    bias = bias_of(node)
    seen = [known.extremes[name] for name in place.tensors if name in known.extremes]
    if bias is None or not seen or bias.size != seen[0].hi.size or bias.size < 4:
        return []
    size = np.abs(bias.astype(np.float64))
    worst, others = int(size.argmax()), float(np.median(size))
    varies = float(np.median(np.sqrt(seen[0].square)))
    if size[worst] > _LARGE_BIAS * max(others, varies, 1e-30):
        return [
            f"the bias of output channel {worst}, {bias[worst]:.4g}, is {size[worst] / max(others, 1e-30):.0f} times the median"
        ]
    return []


def _of_tensor(tensor: str, known: Known) -> list[str]:
    found = []
    summary, channels = known.summaries.get(tensor), known.extremes.get(tensor)
    if summary is not None and summary.elements:
        deviation = float(np.sqrt(summary.variance))
        reach = max(abs(summary.lo - summary.mean), abs(summary.hi - summary.mean))
        if deviation > 0 and reach > _OUTLIER_VALUE * deviation:
            span = f"[{summary.lo:.4g}, {summary.hi:.4g}]"
            found.append(f"{tensor} reaches {reach / deviation:.0f} standard deviations from its mean, {span}")
    if channels is not None:
        widths = np.sort(np.maximum(channels.hi, 0.0) - np.minimum(channels.lo, 0.0))
        low, high = float(widths[len(widths) // 3]), float(widths[-1])
        if low > 0 and high > _FAR_APART * low:
            times = high / low
            found.append(f"the channels of {tensor} are far apart: a third is {times:.0f} times narrower than the widest")
    return found
