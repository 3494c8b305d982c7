"""Parameters that are given rather than calibrated: what a quantized model, or a file of encodings, brings along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from qconv.quant.types import FloatArray, IntType, QuantParams


@dataclass(frozen=True, eq=False)
class PinnedWeight:
    """The reals of a weight, in the layout of the float graph, and the parameters under which they are whole codes."""

    name: str
    reals: FloatArray
    params: QuantParams


@dataclass(frozen=True, eq=False)
class Pins:
    """The parameters of activations by the name of the tensor; weights are found by their values, whatever they are called."""

    activations: Mapping[str, QuantParams] = field(default_factory=dict)
    weights: Sequence[PinnedWeight] = ()

    def __bool__(self) -> bool:
        return bool(self.activations or self.weights)

    def weight(self, array: NDArray[np.floating], axis: int | None) -> QuantParams | None:
        """The parameters of a weight that has these values, whose output channels lie along `axis`; or None.

        A matrix may have been transposed. One scale for each channel of another axis does not fit a kernel.
        """
        for pinned in self.weights:
            params = pinned.params
            if pinned.reals.shape == array.shape and np.array_equal(pinned.reals, array):
                found = params
            elif pinned.reals.T.shape == array.shape and array.ndim == 2 and np.array_equal(pinned.reals.T, array):
                turned = None if params.axis is None else 1 - params.axis
                found = QuantParams(params.scale, params.zero_point, params.int_type, turned)
            else:
                continue
            if found.axis is None or found.axis == axis:
                return found
        return None


def with_sign(params: QuantParams, signed: bool) -> QuantParams:
    """The same reals as codes of the other sign: the zero point moves by half the range, which is exact."""
    own = params.int_type
    if own.signed == signed or params.axis is not None:
        return params
    moved = params.zero_point.astype(np.int64) + (1 if own.signed else -1) * (1 << (own.bits - 1))
    int_type = IntType(own.bits, signed, own.narrow)
    return QuantParams(params.scale, moved.clip(int_type.qmin, int_type.qmax), int_type, params.axis)
