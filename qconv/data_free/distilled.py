"""Synthetic samples, moved until all batch norms see what they remember (qconv/data_free/statistics_matching.py)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from qconv.data.limited import Limited
from qconv.data.source import InputInfo, Sample, SampleSource
from qconv.data_free.running_statistics import Gaps, Layer, remembered_layers
from qconv.data_free.statistics_matching import match
from qconv.data_free.statistics_network import MomentNetwork
from qconv.data_free.synthetic import SyntheticSource
from qconv.errors import ModelError
from qconv.quant.types import FloatArray
from qconv.statistics.observe import Progress

BUDGET = 56 * 10**10  # multiplications, as MomentNetwork.work counts them: 10 to 15 s on one core of 2023
ROUNDS = 16  # so many bring most of the gap down; more where the budget holds for them, and fewer samples where it does not
MOST_ROUNDS, FEWEST_SAMPLES = 100, 16


@dataclass(frozen=True, eq=False)
class MovedSource:
    """The samples, one array each for the only input; `before` and `after` are the gaps of all batch norms."""

    origin: SyntheticSource
    name: str
    arrays: Sequence[FloatArray]
    before: Gaps
    after: Gaps

    @property
    def description(self) -> str:
        """What the samples began as, and to what they were moved."""
        return f"{self.origin.description}, moved towards all batch norms"

    @property
    def warning(self) -> str | None:
        """A sentence that these are not real data, and how well the batch norms are met."""
        return f"{self.origin.warning}; {self.finding}"

    @property
    def moved(self) -> bool:
        """Whether there was a way to come nearer, and the budget for it."""
        return self.after is not self.before

    @property
    def finding(self) -> str:
        """How well the batch norms are met, in one line."""
        history = f", down from {self.before.mean:.2g}" if self.moved else ", where they were left"
        return f"the synthetic samples have a mean gap of {self.after.sentence()}{history}"

    def __len__(self) -> int:
        return len(self.arrays)

    def __iter__(self) -> Iterator[Sample]:
        return (Sample({self.name: array}, None, f"synthetic[{index}]") for index, array in enumerate(self.arrays))


def moved_if_synthetic(
    source: SampleSource, original: ir.Model, inputs: Sequence[InputInfo], progress: Progress | None = None
) -> SampleSource:
    """Synthetic samples moved to fit the batch norms of a model, where it has some; any other source as it is.

    `progress(done, total)` counts rounds.
    """
    drawn = source.source if isinstance(source, Limited) else source
    if not isinstance(drawn, SyntheticSource):
        return source
    if isinstance(source, Limited):
        drawn = drawn.first(source.count)
    return moved_to_batchnorms(original, inputs, drawn, progress) or drawn


def moved_to_batchnorms(
    original: ir.Model, inputs: Sequence[InputInfo], source: SyntheticSource, progress: Progress | None = None
) -> MovedSource | None:
    """Samples for the model with its batch norms; None where it has none, or inputs other than one of float32, or cannot be read.

    Large networks get fewer samples, and the largest fewer rounds, down to none.
    """
    layers = remembered_layers(original.graph)
    if not layers or [info.dtype for info in inputs] != [np.float32]:
        return None
    name = inputs[0].name
    sample: FloatArray = next(iter(source)).feeds[name]
    network = _opened(original, name, layers, sample)
    if network is None:
        return None
    runs = BUDGET // network.work(sample)
    origin = source.first(max(FEWEST_SAMPLES, runs // ROUNDS))
    samples = [sample.feeds[name] for sample in origin]
    rounds = min(MOST_ROUNDS, runs // len(samples))
    found = match(network, samples, rounds, source.exact.get(name), progress)
    return MovedSource(origin, name, found.samples, found.before, found.after)


def _opened(original: ir.Model, name: str, layers: Sequence[Layer], sample: FloatArray) -> MomentNetwork | None:
    """The network, without its gradient where onnxruntime does not take it; None where it cannot even run the moments."""
    for gradient in (True, False):
        try:
            network = MomentNetwork(original, name, layers, gradient=gradient)
            network.run(sample, network.no_slopes)
            return network
        except ModelError:  # samples that stay as they were drawn are better than none
            continue
    return None
