"""The factors k of all channels, 0 < k <= 1, from what the channels reach and what rounding costs.

Values divided by k use more of the codes, so that the step of channel c is k_c S. How small k_c may be:

    k_c >= (hi_c - lo_c) / max over channels of (hi - lo)

What it costs: a layer that reads the tensor multiplies the weights of channel c by k_c, and rounds them with the step S_o of its
output channel o, as large as the largest of them asks for. So in output o, with Q = sum w^2 and P positions of the kernel,

    rounding of the activation   k_c^2 S^2 / 12 Q_oc            rounding of the weight   P S_o^2 / 12 E[x_c^2] / k_c^2

The sum of both over all layers is least where the two are equal for each channel that does not decide S_o; one that does counts
with what its S_o does to the others. A depthwise layer has only the first, so that its channels take all that they may.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from qconv.model.graph import attr_int, const_array
from qconv.ops.forms import as_groups, clamp_bounds
from qconv.plan.quant_plan import ChannelScales, QuantPlan
from qconv.recover.channels.classes import ChannelClasses
from qconv.recover.channels.extremes import Extremes, Floats

Range = tuple[float, float]
_ROUNDS = 12
_SMALLEST = 2.0**-20
_OUTCOMES, _DEVIATIONS = 1.25, 2.0  # room for what users read


@dataclass(frozen=True)
class _Reader:
    """A layer that reads channels with factors: their classes [groups, inputs], and the terms of its noise."""

    classes: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
    largest: Floats  # |w| [groups, outputs, inputs]
    power: Floats  # Q [groups, outputs, inputs]
    square: Floats  # E[x^2] [groups, inputs]
    positions: int
    step: float  # S
    levels: int


def choose_factors(
    classes: ChannelClasses, plan: QuantPlan, extremes: Mapping[str, Extremes], headroom: float = 1.0
) -> dict[str, ChannelScales]:
    """Tensor -> k, for the tensors of which some channel has another factor than 1."""
    least = _least(classes, plan, extremes, headroom)
    factors = np.maximum(least, _SMALLEST)
    factors[0] = 1.0
    readers = [_reader(classes, node, plan, extremes) for node in classes.layers]
    known = [reader for reader in readers if reader is not None]
    lowest = factors.copy()
    factors = np.sqrt(factors)
    for _ in range(_ROUNDS):
        rising, falling = _terms(known, factors)
        with np.errstate(divide="ignore", invalid="ignore"):
            best = np.where(rising > 0, (falling / rising) ** 0.25, 0.0)
        factors = np.sqrt(factors * np.clip(best, lowest, 1.0))
        factors[0] = 1.0
    found = {str(value.name): classes.of(value) for value in classes.values}
    scales = {name: ChannelScales(c.axis, factors[c.ids].astype(np.float32)) for name, c in found.items()}
    return {name: of_tensor for name, of_tensor in scales.items() if (of_tensor.factors != 1.0).any()}


def scaled_range(seen: Extremes, scales: ChannelScales, whole: Range) -> Range:
    """The range of a tensor divided by its factors, cut where the range `whole` cuts the undivided one."""
    least, most = min(float(seen.lo.min()), 0.0), max(float(seen.hi.max()), 0.0)
    lo, hi = min(float((seen.lo / scales.factors).min()), 0.0), max(float((seen.hi / scales.factors).max()), 0.0)
    return (lo * whole[0] / least if least < 0 else min(whole[0], lo)), (hi * whole[1] / most if most > 0 else max(whole[1], hi))


def _least(classes: ChannelClasses, plan: QuantPlan, extremes: Mapping[str, Extremes], headroom: float) -> Floats:
    """By class: the part of the widest channel that a channel is as wide as; 1 where nothing is known, or nothing is there."""
    found = np.zeros(classes.count)
    bounds = {node.outputs[0]: clamp_bounds(node) for node in classes.clamps}
    for value in classes.values:
        seen = extremes.get(str(value.name))
        if seen is None or str(value.name) not in plan.tensors:
            continue
        widths = np.maximum(seen.hi, 0.0) - np.minimum(seen.lo, 0.0)
        share = widths / max(float(widths.max(initial=0.0)), 1e-30)
        clamp = bounds.get(value)
        if clamp is not None:  # which bites at the same code in every channel
            share = np.maximum(share, np.maximum(seen.hi, 0.0) / clamp[1] if clamp[1] > 0 else 1.0)
            share = np.maximum(share, np.minimum(seen.lo, 0.0) / clamp[0] if clamp[0] < 0 else 0.0)
        if value.is_graph_output():
            # A score that no sample raised may be the highest of the next one: how it varies tells its unit.
            share = np.maximum(_OUTCOMES * share, _DEVIATIONS * np.sqrt(seen.square / max(float(seen.square.max()), 1e-30)))
        np.maximum.at(found, classes.of(value).ids, share)
    return np.where(found > 0, np.minimum(found * headroom, 1.0), 1.0)


def _reader(classes: ChannelClasses, node: ir.Node, plan: QuantPlan, extremes: Mapping[str, Extremes]) -> _Reader | None:
    x, value = node.inputs[0], node.inputs[1]
    weight = const_array(value)
    if x is None or value is None or weight is None or not classes.knows(x):
        return None
    seen, params, own = extremes.get(str(x.name)), plan.tensors.get(str(x.name)), plan.tensors.get(str(value.name))
    ids = classes.of(x).ids
    if seen is None or params is None or own is None or not ids.any():
        return None
    group = as_groups(node, weight).astype(np.float64)
    count = attr_int(node, "group", 1)
    largest, power = np.abs(group).max(axis=3), np.square(group).sum(axis=3)
    scale = max(float((power * seen.square.reshape(count, 1, -1)).sum()), 1e-30)  # so that layers count alike
    return _Reader(
        ids.reshape(count, -1), largest, power / scale, seen.square.reshape(count, -1) / scale, group.shape[3],
        float(params.scale), own.int_type.qmax,
    )  # fmt: skip


def _terms(readers: list[_Reader], factors: Floats) -> tuple[Floats, Floats]:
    """By class: A and B of the noise A k^2 + B / k^2."""
    rising, falling = np.zeros_like(factors), np.zeros_like(factors)
    for reader in readers:
        k = factors[reader.classes]
        scaled = reader.largest * k[:, None, :]
        steps = scaled.max(axis=2) / reader.levels  # [groups, outputs]
        decides = scaled.argmax(axis=2)
        weight = reader.positions * np.square(steps)[:, :, None] * (reader.square / np.square(k))[:, None, :]
        own = np.take_along_axis(weight, decides[:, :, None], 2)[:, :, 0]
        others = weight.sum(axis=2) - own  # what the channel that decides the step does to the rest
        np.put_along_axis(weight, decides[:, :, None], 0.0, 2)
        np.add.at(falling, reader.classes, weight.sum(axis=1) * np.square(k))
        np.add.at(rising, reader.classes, reader.power.sum(axis=1) * reader.step**2)
        at = np.take_along_axis(reader.classes, decides, 1)
        np.add.at(rising, at, others / np.square(np.take_along_axis(k, decides, 1)))
    return rising, falling
