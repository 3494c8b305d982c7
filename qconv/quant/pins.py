"""Parameters that are given rather than calibrated: what a quantized model, or a file of encodings, brings along."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from qconv.quant.types import FloatArray, IntType, QuantParams

_FLOAT32 = 1e-5  # a few roundings in float32, of products and quotients of batch norms


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

    def under(self, others: Pins) -> Pins:
        """The pins of both together; where both know a tensor, `others` count."""
        return Pins({**self.activations, **others.activations}, (*others.weights, *self.weights))

    def renamed(self, names: Mapping[str, str]) -> Pins:
        """The pins of activations that have other names now; `names` tells the present name by the former one."""
        return Pins({names.get(name, name): params for name, params in self.activations.items()}, self.weights)

    def weight(self, array: NDArray[np.floating], axis: int | None) -> QuantParams | None:
        """The parameters of a weight that has these values, whose output channels lie along `axis`; or None.

        A matrix may have been transposed. One scale for each channel of another axis does not fit a kernel.
        """
        return next((params for _, params in self.matches(array, axis)), None)

    def matches(self, array: NDArray[np.floating], axis: int | None) -> Iterator[tuple[PinnedWeight, QuantParams]]:
        """The pinned weights that this one is, with its parameters; those with the same values come first."""
        candidates = [(pinned, form) for pinned in self.weights for form in _forms(pinned) if form.reals.shape == array.shape]
        for pinned, form in candidates:
            if np.array_equal(form.reals, array) and form.params.axis in (None, axis):
                yield pinned, form.params
        for pinned, form in candidates if axis is not None else ():
            params = _folded(form, array, axis) if axis is not None else None
            if params is not None:
                yield pinned, params


def _forms(pinned: PinnedWeight) -> Iterator[PinnedWeight]:
    """A weight as it is, and transposed where it is a matrix."""
    yield pinned
    params = pinned.params
    if pinned.reals.ndim == 2:
        axis = None if params.axis is None else 1 - params.axis
        yield PinnedWeight(pinned.name, pinned.reals.T, QuantParams(params.scale, params.zero_point, params.int_type, axis))


def _folded(pinned: PinnedWeight, array: NDArray[np.floating], axis: int) -> QuantParams | None:
    """The parameters of a weight whose channels along `axis` were multiplied each by a number, as a batch norm does."""
    if pinned.params.axis not in (None, axis):
        return None
    before, after = (
        np.moveaxis(np.asarray(reals, np.float64), axis, 0).reshape(reals.shape[axis], -1) for reals in (pinned.reals, array)
    )
    at = np.abs(before).argmax(1, keepdims=True)
    largest = np.take_along_axis(before, at, 1)
    factor = np.divide(np.take_along_axis(after, at, 1), largest, out=np.zeros_like(largest), where=largest != 0)
    if not np.allclose(before * factor, after, rtol=_FLOAT32, atol=0.0):
        return None
    factor[factor == 0] = 1.0  # a channel of zeros, before or after, has zeros for codes under any scale
    scale = (np.broadcast_to(pinned.params.scale, len(factor)) * np.abs(factor[:, 0])).astype(np.float32)
    return QuantParams(scale, np.zeros(scale.shape, np.int8), pinned.params.int_type, axis)


def with_sign(params: QuantParams, signed: bool) -> QuantParams:
    """The same reals as codes of the other sign: the zero point moves by half the range, which is exact."""
    own = params.int_type
    if own.signed == signed or params.axis is not None:
        return params
    moved = params.zero_point.astype(np.int64) + (1 if own.signed else -1) * (1 << (own.bits - 1))
    int_type = IntType(own.bits, signed, own.narrow)
    return QuantParams(params.scale, moved.clip(int_type.qmin, int_type.qmax), int_type, params.axis)
