"""HardSwish and SiLU as the integer network computes them: a gate of its own codes, and a product."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from qconv.ops.scale_rules import hard_sigmoid_params
from qconv.quant.hard_swish import cut_gate
from qconv.quant.types import IntType, QuantParams

from .binary import SimulatedBinary
from .quantizers import ActivationQuantizer, Clock


class SimulatedGate(nn.Module):
    """x times its gate: HardSigmoid for HardSwish, else Sigmoid for SiLU; the gate is rounded.

    In evaluation that of a HardSwish is cut out of the codes of x where the integer network does so.
    """

    def __init__(self, rounding: ActivationQuantizer, product: SimulatedBinary, *, hard: bool) -> None:
        super().__init__()
        self.rounding, self.product, self.hard = rounding, product, hard
        self._found: tuple[tuple[QuantParams, QuantParams], tuple[QuantParams, int] | None] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """The product, which is rounded behind."""
        cut = self._cut() if self.hard and not self.training else None
        if cut is not None:
            (gate, high), source = cut, self.product.source
            assert source is not None
            codes = torch.round(x / float(source.quant_params().scale)) + int(source.quant_params().zero_point)
            steps = codes.clamp(int(gate.zero_point), high) - int(gate.zero_point)
            product: Tensor = self.product(x, steps * float(gate.scale), gate)
            return product
        result: Tensor = self.product(x, self.rounding(functional.hardsigmoid(x) if self.hard else functional.sigmoid(x)))
        return result

    def _cut(self) -> tuple[QuantParams, int] | None:
        """The gate of cut codes of x, where the integer network has it; kept while the parameters stay."""
        source, target = self.product.source, self.product.target
        if source is None or target is None or not (source.ready and target.ready):
            return None
        ends = source.quant_params(), target.quant_params()
        if self._found is None or self._found[0] != ends:
            self._found = ends, cut_gate(*ends)
        return self._found[1]

    def connect(self, old: ActivationQuantizer | None, new: ActivationQuantizer) -> None:
        """Puts `new` in the place of `old`; of None, as the result's."""
        self.product.connect(old, new)

    def frozen(self) -> nn.Module:
        """The form that is written: HardSwish as one operator, whose gate qconv builds alike."""
        return nn.Hardswish() if self.hard else self


def gate_of(source: ActivationQuantizer, clock: Clock, bits: int, *, hard: bool) -> SimulatedGate:
    """The gate of a tensor with the quantizer `source`, itself of so many bits."""
    int_type = IntType(bits, signed=False)
    fixed = hard_sigmoid_params(0.5, int_type)
    limits = (float(fixed.scale), 0) if hard else (1.0 / (int_type.qmax + 1), 0)
    rounding = ActivationQuantizer(int_type, clock, limits)
    return SimulatedGate(rounding, SimulatedBinary(source, rounding, product=True, adds_in_integers=False), hard=hard)
