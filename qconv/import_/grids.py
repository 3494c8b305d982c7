"""Weights whose quantizers an exporter has computed away: reals that are whole multiples of a step, as TensorFlow's are.

S = max|w| / 127 for each channel, or for all, or (max w - min w) / 255 for all
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.model.graph import const_array
from qconv.model.traits import Trait, has_trait
from qconv.ops.forms import channel_axis
from qconv.quant.pins import PinnedWeight, Pins
from qconv.quant.types import INT8, INT9, QuantParams

_FEWEST = 32  # weights; fewer may lie on a grid by chance
_VALUES = 8  # that weights have at least; of fewer their own extremes say as much
_NEAR = 1e-2  # of a step: roundings of a step to float32, times 255


def weights_on_grids(model: ir.Model, pins: Pins) -> Iterator[PinnedWeight]:
    """The weights of a graph that has pins for others, or for activations, which have none themselves."""
    if not pins:
        return
    for node in model.graph:
        weight = const_array(node.inputs[1]) if has_trait(node, Trait.WEIGHTS) else None
        axis = None if weight is None else channel_axis(node)
        if weight is None or axis is None or weight.size < _FEWEST or pins.weight(weight, axis) is not None:
            continue
        params = next((found for found in _steps(weight, axis) if _is_on(weight, found)), None)
        if params is not None and node.inputs[1] is not None:
            yield PinnedWeight(str(node.inputs[1].name), np.asarray(weight, np.float32), params)


def _steps(weight: NDArray[np.floating], axis: int) -> Iterator[QuantParams]:
    others = tuple(i for i in range(weight.ndim) if i != axis)
    largest = np.abs(weight).max(others)
    whole = float(largest.max())
    if whole == 0.0:
        return
    scale = np.asarray(np.where(largest > 0, largest, whole) / INT8.qmax, np.float32)
    yield QuantParams(scale, np.zeros(scale.shape, np.int8), INT8, axis)
    yield QuantParams(np.asarray(whole / INT8.qmax, np.float32), np.asarray(0), INT8)
    yield QuantParams(np.asarray((float(weight.max()) - float(weight.min())) / 255.0, np.float32), np.asarray(0), INT9)


def _is_on(weight: NDArray[np.floating], params: QuantParams) -> bool:
    """Whether all elements are whole multiples of the step, and of enough different ones."""
    codes = params.quantize(weight)
    others = tuple(i for i in range(weight.ndim) if i != params.axis)
    scale = params.scale if params.axis is None else np.expand_dims(params.scale, others)
    return bool((np.abs(weight / scale - codes) <= _NEAR).all()) and np.unique(np.abs(codes)).size >= _VALUES
