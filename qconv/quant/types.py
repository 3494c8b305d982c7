"""The words of quantization: integer types, granularity, schemes and the parameters (S, Z).

real = scale * (q - zero_point)                       (docs/arithmetic.md, equation 1)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
IntArray = NDArray[Any]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class IntType:
    """An integer type of `bits` bits, held in a container of 8, 16 or 32.

    Signed codes of 9 bits, in a container of 16, are those of a weight less a zero point.
    `narrow` leaves out the lowest code, so that a signed range is symmetric: [-127, 127].
    """

    bits: int
    signed: bool
    narrow: bool = False

    def __post_init__(self) -> None:
        if not (2 <= self.bits <= 8 or self.bits == 32 or (self.bits in (9, 16) and self.signed)):
            raise ValueError(f"an integer type has 2 to 8, 16 or 32 bits, not {self.bits}")

    @property
    def qmin(self) -> int:
        """The lowest code."""
        return (-(1 << (self.bits - 1)) if self.signed else 0) + int(self.narrow)

    @property
    def qmax(self) -> int:
        """The highest code."""
        return (1 << (self.bits - int(self.signed))) - 1

    @property
    def dtype(self) -> np.dtype[Any]:
        """The container: uint8, int8, int16 or int32."""
        if self.bits == 32:
            return np.dtype(np.int32 if self.signed else np.uint32)
        if self.bits in (9, 16):
            return np.dtype(np.int16)
        return np.dtype(np.int8 if self.signed else np.uint8)

    @property
    def fills_container(self) -> bool:
        """Whether saturation in the container already keeps codes within [qmin, qmax]."""
        limits = np.iinfo(self.dtype)
        return self.qmin == limits.min and self.qmax == limits.max

    def __str__(self) -> str:
        return f"{'' if self.signed else 'u'}int{self.bits}"


UINT8 = IntType(8, signed=False)
INT8 = IntType(8, signed=True)
INT9 = IntType(9, signed=True)
INT16 = IntType(16, signed=True)
INT32 = IntType(32, signed=True)


@dataclass(frozen=True)
class PerTensor:
    """One (S, Z) for the whole tensor."""


@dataclass(frozen=True)
class PerChannel:
    """One (S, Z) for each slice along `axis`."""

    axis: int


@dataclass(frozen=True)
class Scheme:
    """What is asked for: an integer type, symmetric or affine, at some granularity, and scales of so many bits."""

    int_type: IntType
    symmetric: bool = False
    granularity: PerTensor | PerChannel = PerTensor()
    scale_bits: int = 24


@dataclass(frozen=True, eq=False)
class QuantParams:
    """What is decided: the (S, Z) of one tensor.

    `scale` is float32 and `zero_point` has the container's type; both are 0-d per tensor and 1-d along `axis` per channel.
    """

    scale: FloatArray
    zero_point: IntArray
    int_type: IntType
    axis: int | None = None

    def __post_init__(self) -> None:
        scale = np.asarray(self.scale, np.float32)
        zero_point = np.asarray(self.zero_point)
        if scale.shape != zero_point.shape or scale.ndim != (0 if self.axis is None else 1):
            raise ValueError(f"scale {scale.shape} and zero point {zero_point.shape} do not fit axis {self.axis}")
        if not (np.isfinite(scale).all() and (scale > 0).all()):
            raise ValueError("a scale is positive and finite")
        if (zero_point < self.int_type.qmin).any() or (zero_point > self.int_type.qmax).any():
            raise ValueError(f"a zero point of {self.int_type} lies in [{self.int_type.qmin}, {self.int_type.qmax}]")
        object.__setattr__(self, "scale", scale)
        object.__setattr__(self, "zero_point", zero_point.astype(self.int_type.dtype))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, QuantParams)
            and (self.int_type, self.axis) == (other.int_type, other.axis)
            and np.array_equal(self.scale, other.scale)
            and np.array_equal(self.zero_point, other.zero_point)
        )

    def __hash__(self) -> int:
        return hash((self.scale.tobytes(), self.zero_point.tobytes(), self.int_type, self.axis))

    @property
    def zero(self) -> int:
        """The zero point as a number. Raises ValueError where there are several."""
        return int(self.zero_point.item())

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the greatest real that has a code; of a tensor with one scale."""
        low, high = (code - int(self.zero_point) for code in (self.int_type.qmin, self.int_type.qmax))
        return float(self.scale) * low, float(self.scale) * high

    def quantize(self, real: NDArray[Any]) -> IntArray:
        """Codes of `real`, as onnxruntime's QuantizeLinear computes them: clip(rint(real / S) + Z), in float32.

        Values are divided, rounded half to even, shifted, then clipped to [qmin, qmax]; NaN becomes the lowest code.
        """
        scale, zero_point = self._along(real.ndim)
        with np.errstate(invalid="ignore", over="ignore"):
            codes: NDArray[np.float32] = np.asarray(np.asarray(real, np.float32) / scale)
            np.rint(codes, out=codes)
            codes += zero_point.astype(np.float32)
        # fmax prefers the number to NaN, so that NaN becomes the lowest code as in onnxruntime.
        np.fmax(codes, self.int_type.qmin, out=codes)
        np.fmin(codes, self.int_type.qmax, out=codes)
        return codes.astype(self.int_type.dtype)

    def dequantize(self, q: IntArray) -> FloatArray:
        """Reals of the codes `q`: S * (q - Z), in float32."""
        scale, zero_point = self._along(q.ndim)
        reals: FloatArray = np.asarray(q.astype(np.int32) - zero_point.astype(np.int32), np.float32)  # also without axes
        reals *= scale
        return reals

    def _along(self, rank: int) -> tuple[FloatArray, IntArray]:
        if self.axis is None:
            return self.scale, self.zero_point
        shape = [1] * rank
        shape[self.axis] = -1
        return self.scale.reshape(shape), self.zero_point.reshape(shape)


def is_fine(params: QuantParams) -> bool:
    """Whether the codes of a tensor have 16 bits, as some inputs and outputs do."""
    return params.int_type == INT16
