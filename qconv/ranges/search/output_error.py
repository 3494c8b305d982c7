"""What quantized activations cost at the outputs, measured on samples.

    noise = mean over outputs and samples of   |y~ - y|^2 / (|y~|^2 + |y|^2)

with y an output of the float network for a sample, y~ that of the simulation; 0 where they are equal, 1 where they have nothing
in common. The denominator keeps a range from being chosen because it makes outputs small: with |y|^2 alone, an output of zeros
beats one that is right but for a factor. Outputs of a single element are taken over all samples together, as one alone has no
direction. Over networks, methods and numbers of bits the noise goes with the loss of the task's score.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.config import QuantConfig
from qconv.data.source import Sample
from qconv.model.memory import copied, give_memory_back
from qconv.model.session import open_session
from qconv.plan.activations import ActivationPlan
from qconv.quant.types import QuantParams
from qconv.ranges.search.fake_quant import FakeQuant
from qconv.ranges.search.judges import with_outputs
from qconv.statistics.nonfinite import run
from qconv.statistics.summary import Range

Outputs = Sequence[NDArray[np.generic]]
_Pair = tuple[NDArray[Any], NDArray[Any]]  # what is found, and what is exact


class Noise:
    """Called with the range of each observed tensor; the same parameters are measured once. `samples` stay in memory."""

    def __init__(self, model: ir.Model, samples: Sequence[Sample], config: QuantConfig, *, threads: int = 0) -> None:
        """Raises DataError for a sample that the model cannot take."""
        self._plan = ActivationPlan(model.graph, config)
        self._simulation = FakeQuant(model, self._plan, threads=threads)
        self._samples = samples
        session = open_session(model, threads=threads)
        self._exact = [run(session, sample) for sample in samples]
        self._known: dict[tuple[QuantParams, ...], float] = {}

    def __call__(self, ranges: Mapping[str, Range]) -> float:
        """The noise, in [0, 1]; 1 where an output is not finite."""
        params = self._plan.params(ranges.get)
        key = tuple(params[name] for name in self._plan.rounded)
        if key not in self._known:
            self._known[key] = noise_of([self._simulation.run(sample.feeds, params) for sample in self._samples], self._exact)
        return self._known[key]


def noise_of(found: Sequence[Outputs], exact: Sequence[Outputs]) -> float:
    """The noise of the outputs for each sample."""
    return float(np.mean([_noise_of_output(pairs) for pairs in _by_output(found, exact)]))


def pooled_noise(found: Sequence[Outputs], exact: Sequence[Outputs]) -> float:
    """The noise of each output over all samples together: what a signal-to-noise ratio tells.

    A sample whose outputs are small has a large noise of its own, and would decide alone where few samples are compared.
    """
    return float(np.mean([_ratio(*_joined(pairs)) for pairs in _by_output(found, exact)]))


def _by_output(found: Sequence[Outputs], exact: Sequence[Outputs]) -> Iterator[list[_Pair]]:
    """The flat arrays for each sample, output by output; zeros stand for one whose size follows from values and is another."""
    for pair in zip(zip(*found, strict=True), zip(*exact, strict=True), strict=True):
        flat = [(np.ravel(a), np.ravel(b)) for a, b in zip(*pair, strict=True)]
        yield [(a if a.size == b.size else np.zeros_like(b), b) for a, b in flat]


def _joined(pairs: Sequence[_Pair]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    found, exact = (np.concatenate(arrays, dtype=np.float64) for arrays in zip(*pairs, strict=True))
    return found, exact


def _noise_of_output(pairs: Sequence[_Pair]) -> float:
    """The noise over all samples of one output."""
    if all(exact.size == 1 for _, exact in pairs):
        pairs = [_joined(pairs)]
    return float(np.mean([_ratio(np.asarray(a, np.float64), np.asarray(b, np.float64)) for a, b in pairs]))


def _ratio(found: NDArray[np.float64], exact: NDArray[np.float64]) -> float:
    if not np.isfinite(found).all():
        return 1.0
    both = float((found**2).sum() + (exact**2).sum())
    return float(((found - exact) ** 2).sum()) / both if both > 0 else 0.0


def outputs_of(
    model: ir.Model, samples: Sequence[Mapping[str, NDArray[Any]]], threads: int = 0, also: Sequence[str] = ()
) -> list[list[NDArray[Any]]]:
    """The outputs for each sample of a model in which codes are simulated, or of one without; behind them the tensors `also`."""
    session = open_session(with_outputs(model, also), threads=threads, fuse_quantized=False)
    found = [[copied(array) for array in session.run(None, dict(feeds))] for feeds in samples]
    del session
    give_memory_back()
    return found
