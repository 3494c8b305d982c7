"""Quantization-aware training for torch: what the integer network computes, simulated, trained, and written as ONNX.

Needs the extra `qconv[train]`; the rest of qconv does without torch.
"""

try:
    import torch as _torch
except ImportError as error:  # pragma: no cover  (tested in an environment without torch)
    raise ImportError("qconv.train needs torch; install it with: pip install 'qconv[train]'") from error

from .distillation import distillation_loss
from .export import export
from .network import SimulatedNetwork
from .prepare import prepare
from .settings import Training

__all__ = ["SimulatedNetwork", "Training", "distillation_loss", "export", "prepare"]
del _torch
