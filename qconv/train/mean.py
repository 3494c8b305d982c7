"""The mean of all positions of each channel; in evaluation the sum of codes with the certified multiplier."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from qconv.quant.mean import certified_mean, mean_factor

from .ends import BetweenQuantizers
from .onnx_functions import global_average


class SimulatedMean(BetweenQuantizers):
    """The mean between the quantizer of its input and that of its result."""

    def forward(self, x: Tensor) -> Tensor:
        """Exact in training, where rounding follows; what the kernel gives in evaluation."""
        source, target = self.source, self.target
        if self.training or source is None or target is None or not target.ready:
            return global_average(x)
        read, written = source.quant_params(), target.quant_params()
        positions = tuple(range(2, x.ndim))
        count = x[0, 0].numel()
        sums = torch.round(x / float(read.scale)).sum(positions, keepdim=True)
        scale, _ = certified_mean(read, written, count)
        codes = torch.round(sums.float() * float(mean_factor(scale, written, count)))
        return codes.to(x.dtype) * float(written.scale)

    def frozen(self) -> nn.Module:
        """The plain mean, as it is written into the model."""
        return _Mean()


class _Mean(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        """The mean of x."""
        return global_average(x)
