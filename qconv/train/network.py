"""The network that `prepare` gives, and how a module is traced for it."""

from __future__ import annotations

from typing import Any

from torch import Tensor, fx, nn

from .binarized import Sign
from .few_valued_layers import FEW_VALUED
from .powers import RoundedGradient, ShiftBatchNorm2d
from .quantizers import Clock


class SimulatedNetwork(nn.Module):
    """A network under simulated quantization; trained like any module, it counts its steps itself.

    `example` holds the inputs that it was traced with, `remarks` sentences about what stays in float.
    """

    def __init__(
        self, network: fx.GraphModule, clock: Clock, example: tuple[Tensor, ...], target: str, remarks: tuple[str, ...]
    ) -> None:
        super().__init__()
        self.network, self.clock, self.example = network, clock, example
        self.target, self.remarks = target, remarks

    def forward(self, *inputs: Tensor) -> Any:
        """What the integer network gives, up to the sums' own rounding."""
        if self.training:
            self.clock.steps += 1
        return self.network(*inputs)


class Tracer(fx.Tracer):
    """Few-valued layers and signs are whole, as the modules of torch are."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a module is one node of the graph."""
        return isinstance(m, (*FEW_VALUED, RoundedGradient, ShiftBatchNorm2d, Sign)) or super().is_leaf_module(
            m, module_qualified_name
        )
