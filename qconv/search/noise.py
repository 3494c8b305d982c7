"""What quantized activations cost at the outputs: noise over signal, measured on samples.

    noise = mean over the outputs of   sum |y~ - y|^2 / sum |y|^2

with the sums over all elements of all samples, y the outputs of the float network and y~ those of the simulation. It is the
inverse of the SQNR. Over networks, methods and numbers of bits it goes with the loss of the task's score (docs/calibration.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from qconv.config import QuantConfig
from qconv.model.session import open_session
from qconv.plan.make import ActivationPlan
from qconv.quant.types import QuantParams
from qconv.search.simulation import Feeds, Simulation

Range = tuple[float, float]


class Noise:
    """Called with the range of each observed tensor; the same parameters are measured once. `samples` stay in memory."""

    def __init__(self, model: ir.Model, samples: Sequence[Feeds], config: QuantConfig, *, threads: int = 0) -> None:
        self._plan = ActivationPlan(model.graph, config)
        self._simulation = Simulation(model, self._plan.rounded, config.activation.int_type, threads=threads)
        self._samples = samples
        session = open_session(model, threads=threads)
        self._exact = [[np.asarray(y, np.float64) for y in session.run(None, dict(feeds))] for feeds in samples]
        self._signal = [sum(float((y[k] ** 2).sum()) for y in self._exact) for k in range(len(model.graph.outputs))]
        self._known: dict[tuple[QuantParams, ...], float] = {}

    def __call__(self, ranges: Mapping[str, Range]) -> float:
        """Infinite where an output is not finite."""
        params = self._plan.params(ranges.get)
        key = tuple(params[name] for name in self._plan.rounded)
        if key not in self._known:
            self._known[key] = self._measure(params)
        return self._known[key]

    def _measure(self, params: Mapping[str, QuantParams]) -> float:
        error = np.zeros(len(self._signal))
        for feeds, exact in zip(self._samples, self._exact, strict=True):
            found = self._simulation.run(feeds, params)
            error += [float(((a - b) ** 2).sum()) for a, b in zip(found, exact, strict=True)]
        ratios = [e / s for e, s in zip(error, self._signal, strict=True) if s > 0]
        noise = float(np.mean(ratios)) if ratios else 0.0
        return noise if np.isfinite(noise) else float("inf")
