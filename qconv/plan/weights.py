"""Parameters of weights, and the codes that they lead to."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.config import QuantConfig
from qconv.ops.forms import by_channels, channel_axis, of_channels
from qconv.ops.kernel_order import kernel_order, kernel_weight
from qconv.plan.policy import weight_scheme
from qconv.quant.params import params_of_weight, quantize_weight
from qconv.quant.saturation import quantize_safely, safe_params
from qconv.quant.types import FloatArray, IntArray, QuantParams
from qconv.targets import target_of


def weight_params(node: ir.Node, weight: NDArray[np.floating], config: QuantConfig) -> QuantParams:
    """Parameters of the weight of a layer, without regard to accumulators (`widen_for_accumulator`) and to pairs (`safe_for`)."""
    pinned = config.pins.weight(weight, channel_axis(node))
    return params_of_weight(by_channels(node, weight), weight_scheme(node, config)) if pinned is None else pinned


def safe_for(node: ir.Node, weight: NDArray[np.floating], params: QuantParams, config: QuantConfig) -> QuantParams:
    """The parameters, with wider scales where the target's kernels would saturate and that loses less."""
    rows, order = kernel_weight(node, weight)
    if order is None or not target_of(config.target).adds_pairs_in_int16:
        return params
    return safe_params(rows, params, order)


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
    if order is None or not target_of(config.target).adds_pairs_in_int16:
        return quantize_weight(weight, params)
    return quantize_safely(weight, params, order)
