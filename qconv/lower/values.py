"""What lowering knows of an integer tensor: codes with their parameters, or wide integers with their limits."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from qconv.quant.types import QuantParams


@dataclass(frozen=True)
class Codes:
    """An integer tensor and what its codes mean."""

    value: ir.Value
    params: QuantParams


@dataclass(frozen=True)
class Wide:
    """An int32 tensor, what its integers stand for, and the limits that they are proved to keep."""

    value: ir.Value
    scale: float
    zero: float
    low: int
    high: int

    @property
    def largest(self) -> int:
        """The greatest magnitude."""
        return max(-self.low, self.high, 1)
