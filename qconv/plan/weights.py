"""Parameters of weights, and the codes that they lead to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.config import QuantConfig
from qconv.model.graph import attr_int
from qconv.ops.forms import by_channels, by_phases, channel_axis, is_convolution, of_channels
from qconv.ops.kernel_order import kernel_order, kernel_weight
from qconv.plan.policy import weight_scheme
from qconv.quant.few_scales import few_scales
from qconv.quant.grids import power_of_two
from qconv.quant.params import params_of_weight, quantize_weight
from qconv.quant.saturation import KernelOrder, quantize_safely, safe_params
from qconv.quant.types import FloatArray, IntArray, QuantParams
from qconv.targets import WeightScales, target_of

POWERS_NEARBY = (0.5, 1.0, 2.0)  # of the one that covers all of a weight


def weight_params(node: ir.Node, weight: NDArray[np.floating], config: QuantConfig) -> QuantParams:
    """Parameters of the weight of a layer, without regard to accumulators (`widen_for_accumulator`) and to pairs (`safe_for`)."""
    pinned = config.pins.weight(weight, channel_axis(node))
    return params_of_weight(by_channels(node, weight), weight_scheme(node, config)) if pinned is None else pinned


def safe_for(node: ir.Node, weight: NDArray[np.floating], params: QuantParams, config: QuantConfig) -> QuantParams:
    """The parameters, with wider scales where the target's kernels would saturate and that loses less.

    Scales that are to be powers of two are those near by that lose least. A target may ask for few.
    """
    rows, order = kernel_weight(node, weight)
    safe_order = order if target_of(config.target).arithmetic.adds_pairs_in_int16 else None
    if safe_order is not None:
        params = safe_params(rows, params, safe_order)
    if config.pow2:
        params = _best_powers(rows, params, safe_order, 0 if by_phases(node) else params.axis)
    return _in_few_scales(node, params) if target_of(config.target).weight is WeightScales.FEW else params


def _in_few_scales(node: ir.Node, params: QuantParams) -> QuantParams:
    """The parameters of a convolution's weight with a few scales for all its channels; those of matrices may stay."""
    if params.axis is None or not (is_convolution(node) or by_phases(node)):
        return params
    return replace(params, scale=few_scales(params.scale, attr_int(node, "group", 1)))


def _best_powers(rows: NDArray[np.floating], params: QuantParams, order: KernelOrder | None, axis: int | None) -> QuantParams:
    """Powers of two for the scales of a weight as its kernel gets it, with channels along `axis`, of the least squared error."""
    axis = None if params.axis is None else axis
    base, losses = power_of_two(params.scale), []
    others = tuple(other for other in range(rows.ndim) if other != axis)
    repeats = 1 if axis is None else rows.shape[axis] // params.scale.size  # phases of one channel
    for factor in POWERS_NEARBY:
        scale = base * np.float32(factor) if axis is None else np.repeat(base * np.float32(factor), repeats)
        tried = QuantParams(scale, np.zeros(scale.shape, np.int8), params.int_type, axis)
        codes = quantize_weight(rows, tried) if order is None else quantize_safely(rows, tried, order)
        lost = np.square(tried.dequantize(codes) - rows).sum(axis=others, dtype=np.float64)
        losses.append(lost.reshape(*base.shape, -1).sum(axis=-1))
    return replace(params, scale=base * np.asarray(POWERS_NEARBY, np.float32)[np.stack(losses).argmin(axis=0)])


def rounded_weight(node: ir.Node, weight: NDArray[np.floating], config: QuantConfig) -> FloatArray:
    """The weight that the integer layer works with, as reals, before its scale is certified.

    Codes of a ConvTranspose are those before its phases are taken apart: a few of them differ by pairs that saturate.
    """
    params = weight_params(node, weight, config)
    if config.pins.weight(weight, channel_axis(node)) is not None:
        return np.asarray(weight, np.float32)
    params = safe_for(node, weight, params, config)
    codes = weight_codes(node, by_channels(node, weight), params, config)
    return np.asarray(of_channels(node, params.dequantize(codes)), np.float32)


def weight_codes(node: ir.Node, weight: NDArray[np.floating], params: QuantParams, config: QuantConfig) -> IntArray:
    """The codes that lowering gives to a weight with these parameters; that of a ConvTranspose lies by channels."""
    order = kernel_order(node, weight.shape)
    if order is None or not target_of(config.target).arithmetic.adds_pairs_in_int16:
        return quantize_weight(weight, params)
    return quantize_safely(weight, params, order)
