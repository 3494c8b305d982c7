"""The network that `prepare` gives, and how a module is traced for it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.func import functional_call

from .binarized import Sign
from .few_valued_layers import FEW_VALUED
from .layers import SimulatedLayer
from .powers import RoundedGradient, ShiftBatchNorm2d
from .quantizers import ActivationQuantizer, Clock


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
        """What the integer network gives; in evaluation code for code, by sums in float64 whatever the type of the inputs."""
        if self.training:
            self.clock.steps += 1
            return self.network(*inputs)
        if not self._is_ready():
            self.network(*inputs)  # gives ranges to what has never seen a batch
        # Each module once, as a batch norm may have two names: of a second swap, the first would be what is put back.
        wide = {
            f"{place}.{name}" if place else name: _wide(tensor)
            for place, module in self.network.named_modules()
            for name, tensor in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False))
        }
        outputs = functional_call(self.network, wide, tuple(map(_wide, inputs)), tie_weights=False)
        dtype = next((x.dtype for x in inputs if x.is_floating_point()), torch.float32)
        return _narrow(outputs, dtype)

    def _is_ready(self) -> bool:
        """Whether all steps are there, of activations and of weights."""
        activations = (m.ready for m in self.modules() if isinstance(m, ActivationQuantizer))
        weights = (m.rounding.ready for m in self.modules() if type(m) is SimulatedLayer)
        return all(activations) and all(weights)


def _wide(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor


def _narrow(outputs: Any, dtype: torch.dtype) -> Any:
    if isinstance(outputs, Tensor):
        return outputs.to(dtype) if outputs.is_floating_point() else outputs
    return type(outputs)(_narrow(output, dtype) for output in outputs)


class Tracer(fx.Tracer):
    """Few-valued layers and signs are whole, as the modules of torch are."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a module is one node of the graph."""
        return isinstance(m, (*FEW_VALUED, RoundedGradient, ShiftBatchNorm2d, Sign)) or super().is_leaf_module(
            m, module_qualified_name
        )
