"""Everything a user may choose about quantization, as one value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from qconv.errors import UsageError
from qconv.quant.types import IntType, PerChannel, PerTensor, Scheme
from qconv.targets import target_of

Io = Literal["float", "int8", "uint8"]
Recovery = Literal["none", "fast", "full"]


@dataclass(frozen=True)
class QuantConfig:
    """How to quantize.

    `exclude` holds globs of node names or op types that stay in float; one alone may be a string. `io` is the type of the
    model's inputs and outputs. `method` chooses the ranges, by default the one that the calibration names; `percent` is what
    percentile keeps. `target` names the processors that the model shall be exact on, see qconv/targets.py. `effort` says how much
    is done to recover accuracy where there are samples, see qconv/recover.
    Raises UsageError for a number of bits outside 4 to 8, and for an unknown target.
    """

    weight_bits: int = 8
    activation_bits: int = 8
    per_tensor: bool = False
    exclude: Sequence[str] = ()
    integer_only: bool = False
    io: Io = "float"
    method: str | None = None
    percent: float = 99.99
    target: str = "x86"
    effort: Recovery = "fast"

    def __post_init__(self) -> None:
        object.__setattr__(self, "exclude", (self.exclude,) if isinstance(self.exclude, str) else tuple(self.exclude))
        target_of(self.target)
        for what, bits in (("weight", self.weight_bits), ("activation", self.activation_bits)):
            if not 4 <= bits <= 8:
                raise UsageError(f"--{what}-bits takes 4 to 8, not {bits}")
        if self.effort not in ("none", "fast", "full"):
            raise UsageError(f"--effort takes none, fast or full, not {self.effort}")
        if self.io not in ("float", "int8", "uint8"):
            raise UsageError(f"--io takes float, int8 or uint8, not {self.io}")

    @property
    def activation(self) -> Scheme:
        """Affine; unsigned or signed, as kernels of the target like it."""
        return Scheme(IntType(self.activation_bits, target_of(self.target).signed_activations))

    def weight(self, axis: int | None) -> Scheme:
        """Signed, symmetric, without the lowest code; per channel along `axis` unless per tensor was asked for."""
        granularity = PerTensor() if self.per_tensor or axis is None else PerChannel(axis)
        return Scheme(IntType(self.weight_bits, signed=True, narrow=True), symmetric=True, granularity=granularity)
