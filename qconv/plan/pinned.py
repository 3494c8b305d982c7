"""Weights of quantized models: their codes stay, as they are, in whole multiples, or over copies of channels."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.config import QuantConfig
from qconv.ops.forms import bias_of, by_channels, of_channels, summed_axes
from qconv.ops.kernel_order import kernel_weight
from qconv.quant.copies import fits_int8
from qconv.quant.finer import finer_params
from qconv.quant.params import accumulators_fit, quantize_weight, widen_for_accumulator
from qconv.quant.saturation import PAIR_LIMIT, unsafe_pairs
from qconv.quant.types import INT8, IntArray, QuantParams
from qconv.targets import target_of


def pinned_params(
    node: ir.Node, weight: NDArray[np.floating], given: QuantParams, x: QuantParams, y: QuantParams | None, config: QuantConfig
) -> tuple[QuantParams, int]:
    """The parameters of a weight that came with `given` ones, and in how many channels accumulators asked for a wider scale."""
    bias, summed, channels = bias_of(node), summed_axes(node), by_channels(node, weight)
    codes = quantize_weight(channels, given)
    if not accumulators_fit(codes, summed, bias, x, given.scale):
        return widen_for_accumulator(given, channels, bias, x, summed)
    if y is None or bias is None:
        return given, 0
    in_pairs = _adds_pairs(node, weight, config)
    return finer_params(given, codes, summed, bias, x, y, PAIR_LIMIT // 2 if in_pairs else INT8.qmax), 0


def codes_over_copies(node: ir.Node, weight: NDArray[np.floating], params: QuantParams, config: QuantConfig) -> IntArray | None:
    """The codes of a weight in its own layout, where kernels of the target take them only over copies: lower/copies.py."""
    codes = np.asarray(of_channels(node, quantize_weight(by_channels(node, weight), params)))
    rows, order = kernel_weight(node, codes)
    saturates = _adds_pairs(node, weight, config) and order is not None and unsafe_pairs(order.rows(rows)).any()
    return codes if saturates or not fits_int8(codes) else None


def _adds_pairs(node: ir.Node, weight: NDArray[np.floating], config: QuantConfig) -> bool:
    """Whether a kernel of the target adds products of two neighbours in 16 bits."""
    return target_of(config.target).arithmetic.adds_pairs_in_int16 and kernel_weight(node, weight)[1] is not None
