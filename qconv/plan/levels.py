"""Weights whose codes are not evenly spaced: their scales and codes, before samples refine them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.config import QuantConfig
from qconv.ops.forms import bias_of, by_channels, channel_axis, of_channels, summed_axes
from qconv.plan.policy import levels_of, weight_scheme
from qconv.quant.grids import power_of_two
from qconv.quant.level_sets import LARGEST, NARROWER, Kind, level_set, nearest_levels
from qconv.quant.params import params_of_weight, widen_for_accumulator
from qconv.quant.types import IntArray, IntType, QuantParams
from qconv.targets import Rules, target_of

_FEW_BITS = 4  # with more, even spaces are as good as those of a codebook
_CONTAINER = IntType(8, signed=True, narrow=True)


def levels_for(node: ir.Node, weight: NDArray[np.floating], config: QuantConfig) -> IntArray | None:
    """The codes that the weight of a layer may take, ascending; None where they are evenly spaced."""
    return _levels(node, weight, config, levels_of(node, config))


def codebook_for(node: ir.Node, weight: NDArray[np.floating], config: QuantConfig) -> IntArray | None:
    """The codebook that the weight of a layer may have instead of even spaces; None where it may not, or has many bits."""
    few = weight_scheme(node, config).int_type.bits <= _FEW_BITS
    kept = Rules.STANDARD not in target_of(config.target).rules  # a file for other runtimes has no room for few bits
    if levels_of(node, config) != "auto" or not few or not kept or not config.grid.free:
        return None
    return _levels(node, weight, config, "codebook")


def _levels(node: ir.Node, weight: NDArray[np.floating], config: QuantConfig, kind: Kind) -> IntArray | None:
    if kind in ("auto", "uniform") or config.pins.weight(weight, channel_axis(node)) is not None:
        return None
    params, lying = _widest(node, weight, config), by_channels(node, weight)
    bits = weight_scheme(node, config).int_type.bits
    return level_set(kind, bits, lying, _along(params.scale, params.axis, lying.ndim))


def with_levels(
    node: ir.Node, weight: NDArray[np.floating], levels: IntArray, x: QuantParams, config: QuantConfig
) -> tuple[QuantParams, IntArray]:
    """Scales of least squared error under which accumulators fit, and the nearest levels, in the layout of the float weight.

    `x` are the parameters of the layer's input.
    """
    params, lying = _widest(node, weight, config), by_channels(node, weight)
    axes = tuple(axis for axis in range(lying.ndim) if axis != params.axis)
    tried = [params.scale * np.float32(factor) for factor in NARROWER]
    tried = [power_of_two(scale) for scale in tried] if config.pow2 else tried
    along = [_along(scale, params.axis, lying.ndim) for scale in tried]
    reals = [nearest_levels(lying / scale, levels) * scale for scale in along]
    losses = np.stack([np.square(real - lying).sum(axis=axes, dtype=np.float64) for real in reals])
    scale = np.take_along_axis(np.stack(tried), losses.argmin(axis=0)[None], 0)[0]
    chosen, raised = widen_for_accumulator(replace(params, scale=scale), lying, bias_of(node), x, summed_axes(node))
    if raised and config.pow2:
        chosen = replace(chosen, scale=power_of_two(chosen.scale))
    codes = nearest_levels(lying / _along(chosen.scale, params.axis, lying.ndim), levels)
    return chosen, np.asarray(of_channels(node, codes), np.int8)


def _widest(node: ir.Node, weight: NDArray[np.floating], config: QuantConfig) -> QuantParams:
    """Scales under which the greatest weight of a channel is the greatest level."""
    params = params_of_weight(by_channels(node, weight), weight_scheme(node, config))
    return replace(params, scale=params.scale * np.float32(params.int_type.qmax / LARGEST), int_type=_CONTAINER)


def _along(scale: NDArray[np.floating], axis: int | None, rank: int) -> NDArray[np.floating]:
    return scale if axis is None else scale.reshape([-1 if place == axis else 1 for place in range(rank)])
