"""Weight scales as the proofs of the integer network want them: a few ulps wider where float32 and fixed point would part."""

from __future__ import annotations

import numpy as np
import torch

from qconv.lower.linear import quantize_linear
from qconv.quant.types import INT8, QuantParams
from qconv.targets import target_of

from .frozen import LayerCodes
from .layers import SimulatedLayer


def settle(name: str, layer: SimulatedLayer, target: str) -> None:
    """Fixes the codes and scales of a layer until it is trained again; lowering will find them proved, and leaves them."""
    source, result = layer.source, layer.target
    if source is None or result is None:
        return
    own = layer.codes()
    codes, scale = own.codes.numpy(), own.scale.numpy()
    w = QuantParams(scale, np.zeros(scale.shape, np.int8), INT8, 0 if scale.ndim else None)
    unit = float(source.params()[0]) * np.asarray(scale, np.float64)
    bias = None if own.bias is None else own.bias.numpy() * unit
    linear = quantize_linear(
        target_of(target), name, codes, bias, tuple(range(1, codes.ndim)),
        source.quant_params(), w, result.quant_params(), layer.rounding.order, codes,
    )  # fmt: skip
    layer.settled = LayerCodes(
        own.codes, torch.from_numpy(np.array(linear.scale)), None if linear.bias is None else torch.from_numpy(linear.bias)
    )
