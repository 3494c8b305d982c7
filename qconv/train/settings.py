"""How simulated quantization is trained; what is quantized to how many bits is qconv.QuantConfig's to say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from qconv.errors import UsageError

ActivationRanges = Literal["ema", "lsq", "lsq+", "pact"]
WeightRanges = Literal["minmax", "lsq"]


@dataclass(frozen=True)
class Training:
    """The choices of training.

    `activations` and `weights` name how ranges are found: "ema" follows the extremes of the batches with `smoothing` (Jacob et
    al. 2018, section 3.1), "minmax" takes those of the weights; "lsq" learns the step, "lsq+" the step and the zero point, "pact"
    the upper end (Gholami et al. 2021, section III-F). Activations stay exact for the first `delay` steps. Batch norms use the
    statistics of each batch, and from step `freeze` on their running ones. `noise` is the part of the weights that is rounded in
    a step (QuantNoise); `stochastic` rounds weights up or down at random.
    Raises UsageError for values outside their ranges.
    """

    activations: ActivationRanges = "lsq"
    weights: WeightRanges = "lsq"
    smoothing: float = 0.99
    delay: int = 50
    freeze: int = 1000
    noise: float = 1.0
    stochastic: bool = False

    def __post_init__(self) -> None:
        if self.activations not in ("ema", "lsq", "lsq+", "pact") or self.weights not in ("minmax", "lsq"):
            raise UsageError("activations take ema, lsq, lsq+ or pact, and weights minmax or lsq")
        if not 0.0 <= self.smoothing < 1.0 or not 0.0 < self.noise <= 1.0 or min(self.delay, self.freeze) < 0:
            raise UsageError("smoothing lies in [0, 1), noise in (0, 1], and delay and freeze are steps from 0 on")
