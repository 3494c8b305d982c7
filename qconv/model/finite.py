"""Weights must be numbers: a NaN spreads through every range that calibration sees."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.errors import ModelError
from qconv.model.traits import Trait, has_trait

_BLOCK = 1 << 20  # elements looked at together, so that mapped weights are never all in memory
# What passes a mask of -inf on to a Softmax, or adds it there.
_PASSES_MASKS = Trait.CASTS | Trait.FILLS | Trait.JOINS | Trait.MOVES | Trait.MULTIPLIES | Trait.SUMS
_TAKES_BOUNDS = Trait.CHOOSES | Trait.COMPARES | Trait.FILLS


def check_finite(model: ir.Model) -> None:
    """Raise ModelError for the first float initializer with a NaN, or with an infinity that is not a bound or a mask."""
    for graph in model.graphs():
        for value in graph.initializers.values():
            tensor = value.const_value
            if tensor is not None and tensor.dtype in (ir.DataType.FLOAT, ir.DataType.DOUBLE):
                _check(value, tensor.numpy())


def _check(value: ir.Value, array: NDArray[np.floating]) -> None:
    flat = array.reshape(-1)
    for start in range(0, flat.size, _BLOCK):
        block = flat[start : start + _BLOCK]
        if np.isfinite(block).all():
            continue
        kind = "NaN" if np.isnan(block).any() else "an infinity"
        allowed = _TAKES_BOUNDS if (block == np.inf).any() else _TAKES_BOUNDS | _PASSES_MASKS
        if kind == "NaN" or not all(has_trait(node, allowed) for node in value.consumers()):
            raise ModelError(f"weight '{value.name}' holds {kind}: train or export the model again")
