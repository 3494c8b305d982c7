"""The factors k of all channels, 0 < k <= 1, from what the channels reach and what rounding costs.

Values divided by k use more of the codes, so that the step of channel c is k_c S. How small k_c may be:

    k_c >= (hi_c - lo_c) / max over channels of (hi - lo)

What it costs: a layer that reads the tensor multiplies the weights of channel c by k_c, and rounds them with the step S_o of its
output channel o, as large as the largest of them asks for. So in output o, with Q = sum w^2 and P positions of the kernel,

    rounding of the activation   k_c^2 S^2 / 12 Q_oc            rounding of the weight   P S_o^2 / 12 E[x_c^2] / k_c^2

With one step for the whole weight, S_o is k_o S_w for a factor k_o of the output, and the largest |w| k_c / k_o decides S_w.
The sum of both over all layers is least where the two are equal for each channel that does not decide S_o; one that does counts
with what its S_o does to the others. A depthwise layer has only the first, so that its channels take all that they may.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from qconv.model.graph import const_array
from qconv.ops.forms import as_groups, clamp_bounds
from qconv.plan.quant_plan import ChannelScales, QuantPlan
from qconv.quant.grids import shortened
from qconv.quant.types import QuantParams
from qconv.recover.channels.classes import ChannelClasses, Ids
from qconv.recover.channels.extremes import Extremes, Floats

Range = tuple[float, float]
_ROUNDS, _ROUNDS_PER_TENSOR = 12, 100
_SHARPNESS = 8.0
_SMALLEST = 2.0**-20
_FACTOR_BITS = 4  # the metadata of a model then has one byte for each (integer/packed_numbers.py)
_FEW = 8.0  # samples, of which the range of a channel is half believed
_OUTCOMES, _DEVIATIONS = 1.25, 2.0  # room for what users read


@dataclass(frozen=True)
class _Layer:
    """A layer that has channels with factors on either side: their classes, and the terms of its noise.

    `inputs` [groups, inputs] and `outputs` [groups, outputs] are classes, all 0 where there are none.
    """

    inputs: Ids
    outputs: Ids
    largest: Floats  # |w| [groups, outputs, inputs]
    power: Floats  # Q [groups, outputs, inputs]
    square: Floats  # E[x^2] [groups, inputs]
    positions: int
    step: float  # S
    levels: int
    per_tensor: bool


def choose_factors(
    classes: ChannelClasses, plan: QuantPlan, extremes: Mapping[str, Extremes], *, powers: bool = False
) -> dict[str, ChannelScales]:
    """Tensor -> k, for the tensors of which some channel has another factor than 1; with `powers` all are powers of two."""
    least = _least(classes, plan, extremes)
    factors = np.maximum(least, _SMALLEST)
    factors[0] = 1.0
    found_layers = [_layer(classes, node, plan, extremes) for node in classes.layers]
    layers = [layer for layer in found_layers if layer is not None]
    lowest = factors.copy()
    factors = np.sqrt(factors)
    for _ in range(_ROUNDS_PER_TENSOR if any(layer.per_tensor for layer in layers) else _ROUNDS):
        rising, falling = _terms(layers, factors)
        with np.errstate(divide="ignore", invalid="ignore"):
            best = np.where(rising > 0, (falling / rising) ** 0.25, 0.0)
        factors = np.sqrt(factors * np.clip(best, lowest, 1.0))
        factors[0] = 1.0
    factors = shortened(factors, 1 if powers else _FACTOR_BITS).astype(np.float64)
    found = {str(value.name): classes.of(value) for value in classes.values}
    scales = {name: ChannelScales(c.axis, factors[c.ids].astype(np.float32)) for name, c in found.items()}
    return {name: of_tensor for name, of_tensor in scales.items() if (of_tensor.factors != 1.0).any()}


def scaled_range(seen: Extremes, scales: ChannelScales, whole: Range) -> Range:
    """The range of a tensor divided by its factors, cut where the range `whole` cuts the undivided one."""
    low, high = seen.reach
    least, most = min(float(seen.lo.min()), 0.0), max(float(seen.hi.max()), 0.0)
    lo, hi = float((low / scales.factors).min()), float((high / scales.factors).max())
    return (lo * whole[0] / least if least < 0 else min(whole[0], lo)), (hi * whole[1] / most if most > 0 else max(whole[1], hi))


def _least(classes: ChannelClasses, plan: QuantPlan, extremes: Mapping[str, Extremes]) -> Floats:
    """The width of each class as a part of the widest channel's; 1 where nothing is known, or nothing is there."""
    found = np.zeros(classes.count)
    bounds = {node.outputs[0]: clamp_bounds(node) for node in classes.clamps}
    for value in classes.values:
        seen = extremes.get(str(value.name))
        if seen is None or str(value.name) not in plan.tensors:
            continue
        low, high = seen.reach
        share = ((high - low) / max(seen.width, 1e-30)) ** (seen.samples / (seen.samples + _FEW))
        clamp = bounds.get(value)
        if clamp is not None:  # which bites at the same code in every channel
            share = np.maximum(share, high / clamp[1] if clamp[1] > 0 else 1.0)
            share = np.maximum(share, low / clamp[0] if clamp[0] < 0 else 0.0)
        if value.is_graph_output():
            # A score that no sample raised may be the highest of the next one: how it varies tells its unit.
            share = np.maximum(_OUTCOMES * share, _DEVIATIONS * np.sqrt(seen.square / max(float(seen.square.max()), 1e-30)))
        np.maximum.at(found, classes.of(value).ids, share)
    return np.where(found > 0, np.minimum(found, 1.0), 1.0)


def _layer(classes: ChannelClasses, node: ir.Node, plan: QuantPlan, extremes: Mapping[str, Extremes]) -> _Layer | None:
    x, value, y = node.inputs[0], node.inputs[1], node.outputs[0]
    weight = const_array(value)
    if x is None or value is None or weight is None:
        return None
    params, own = plan.tensors.get(str(x.name)), plan.tensors.get(str(value.name))
    if params is None or own is None:
        return None
    group = as_groups(node, weight).astype(np.float64)
    groups, outputs, inputs, positions = group.shape
    before, behind = (_ids(classes, v, count) for v, count in ((x, groups * inputs), (y, groups * outputs)))
    if not before.any() and not (own.axis is None and behind.any()):
        return None
    seen = extremes.get(str(x.name))
    square = np.full(groups * inputs, _mean_square(params)) if seen is None else seen.square
    largest, power, square = np.abs(group).max(axis=3), np.square(group).sum(axis=3), square.reshape(groups, inputs)
    scale = max(float((power * square[:, None, :]).sum()), 1e-30)  # so that layers count alike
    return _Layer(
        before.reshape(groups, inputs), behind.reshape(groups, outputs), largest, power / scale, square / scale, positions,
        float(params.scale), own.int_type.qmax, own.axis is None,
    )  # fmt: skip


def _ids(classes: ChannelClasses, value: ir.Value, count: int) -> Ids:
    return classes.of(value).ids if classes.knows(value) else np.zeros(count, np.int64)


def _mean_square(params: QuantParams) -> float:
    """A guess for a tensor whose channels were not looked at: as if values were spread like a normal distribution's."""
    lo, hi = params.ends
    return ((hi - lo) / 6.0) ** 2


def _terms(layers: Sequence[_Layer], factors: Floats) -> tuple[Floats, Floats]:
    """For each class A and B of the noise A k^2 + B / k^2."""
    rising, falling = np.zeros_like(factors), np.zeros_like(factors)
    for layer in layers:
        np.add.at(rising, layer.inputs, layer.power.sum(axis=1) * layer.step**2)
        (_add_per_tensor if layer.per_tensor else _add_per_channel)(layer, factors, rising, falling)
    return rising, falling


def _add_per_channel(layer: _Layer, factors: Floats, rising: Floats, falling: Floats) -> None:
    k = factors[layer.inputs]
    scaled = layer.largest * k[:, None, :]
    steps = scaled.max(axis=2) / layer.levels  # [groups, outputs]
    decides = scaled.argmax(axis=2)
    weight = layer.positions * np.square(steps)[:, :, None] * (layer.square / np.square(k))[:, None, :]
    own = np.take_along_axis(weight, decides[:, :, None], 2)[:, :, 0]
    others = weight.sum(axis=2) - own  # what the channel that decides the step does to the rest
    np.put_along_axis(weight, decides[:, :, None], 0.0, 2)
    np.add.at(falling, layer.inputs, weight.sum(axis=1) * np.square(k))
    at = np.take_along_axis(layer.inputs, decides, 1)
    np.add.at(rising, at, others / np.square(np.take_along_axis(k, decides, 1)))


def _add_per_tensor(layer: _Layer, factors: Floats, rising: Floats, falling: Floats) -> None:
    """One step for all outputs, as large as the largest |w| k_i / k_o asks for; those close to it decide it together."""
    before, behind = factors[layer.inputs], factors[layer.outputs]
    scaled = layer.largest * before[:, None, :] / behind[:, :, None]
    largest = max(float(scaled.max()), 1e-30)
    share = (scaled / largest) ** _SHARPNESS
    share /= share.sum()
    step = layer.positions * (largest / layer.levels) ** 2
    inputs, outputs = layer.square / np.square(before), np.square(behind)
    whole = step * float(inputs.sum() * outputs.sum() / len(inputs))
    np.add.at(falling, layer.inputs, step * float(outputs.sum()) / len(inputs) * layer.square)
    np.add.at(rising, layer.outputs, np.broadcast_to(step * inputs.sum(axis=1, keepdims=True), outputs.shape))
    np.add.at(rising, layer.inputs, whole * share.sum(axis=1) / np.square(before))
    np.add.at(falling, layer.outputs, whole * share.sum(axis=2) * np.square(behind))
