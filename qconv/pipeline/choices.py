"""Calibration + method -> a range for every tensor."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import onnx_ir as ir

from qconv.config import QuantConfig
from qconv.data.source import Sample, SampleSource, known_length
from qconv.data.strided import Strided
from qconv.pipeline.prepared import PreparedModel
from qconv.pipeline.samples import recorded_samples, synthetic
from qconv.plan.make import bounded_tensors, tensors_to_observe
from qconv.plan.outcomes import outcomes
from qconv.plan.policy import activation_scheme, method_for
from qconv.quant.types import Scheme
from qconv.ranges.choices import choice_of
from qconv.ranges.methods import CANDIDATES, METHODS, Choice
from qconv.ranges.search.output_error import Noise
from qconv.ranges.search.search import search_ranges
from qconv.statistics.calibration import Calibration
from qconv.statistics.observe import Progress

FEWEST, MOST = 4, 64
ELEMENTS = 1 << 21  # in the inputs of all samples that auto measures with


@dataclass(frozen=True)
class Choices:
    """A choice for every tensor; `measured` is the number of samples that they were measured with, 0 where there was no need."""

    by_tensor: Mapping[str, Choice]
    measured: int = 0


def spread(samples: SampleSource) -> list[Sample]:
    """A few samples, evenly from all, and fewer where they are large; the first ones of a source of unknown length."""
    elements = sum(array.size for sample in islice(iter(samples), 1) for array in sample.feeds.values())
    count = min(MOST, max(FEWEST, ELEMENTS // max(elements, 1)))
    step = max(1, (known_length(samples) or 0) // count)
    return list(islice(iter(Strided(samples, 0, step)), count))


def _bounded(loaded: PreparedModel, calibration: Calibration, config: QuantConfig, keep: Collection[str]) -> dict[str, Choice]:
    """Ranges of tensors within a fixed range: the extremes of those in `keep`, and of others the range of least squared error.

    Other methods cut what is rare, and few probabilities are large; those are the ones that count.
    """
    names = bounded_tensors(loaded.ir.graph, config).keys() & calibration.tensors.keys() - calibration.derived.keys()
    methods = {name: "minmax" if name in keep else "mse" for name in sorted(names)}
    schemes = _schemes(loaded, config)
    return {name: Choice(m, METHODS[m](calibration.tensors[name], schemes[name])) for name, m in methods.items()}


def _values(loaded: PreparedModel) -> Iterator[ir.Value]:
    graph = loaded.ir.graph
    yield from (*graph.inputs, *(value for node in graph for value in node.outputs))


def _schemes(loaded: PreparedModel, config: QuantConfig) -> dict[str, Scheme]:
    return {str(value.name): activation_scheme(value, config) for value in _values(loaded)}


def choose(
    loaded: PreparedModel,
    calibration: Calibration,
    config: QuantConfig,
    samples: SampleSource | None = None,
    progress: Progress | None = None,
    threads: int = 0,
) -> Choices:
    """What the method chooses for every tensor that was calibrated; auto measures with real `samples`, where there are any.

    Without `samples`, those of the calibration are opened again where they are a file.

    Raises UsageError for an unknown method, ArtifactError where the calibration lacks what it needs, DataError for bad samples.
    """
    keep = outcomes(loaded.ir.graph)
    schemes = _schemes(loaded, config)
    wanted = {str(value.name): method_for(value, config) for value in _values(loaded)}

    def guess(name: str) -> Choice | None:
        scheme, method = schemes.get(name, config.activation), wanted.get(name) or config.method
        return choice_of(calibration, scheme, method, config.percent, keep)(name)

    choices = {name: choice for name in calibration.tensors if (choice := guess(name)) is not None}
    bounded = _bounded(loaded, calibration, config, keep)
    choices |= bounded
    observed = tensors_to_observe(loaded.ir.graph, config)
    measured = (config.method or calibration.method) == "auto" and not calibration.derived and observed
    if measured and samples is None:
        samples = recorded_samples(loaded, calibration)
    if not measured or samples is None or synthetic(samples) is not None or not choices.keys() >= set(observed):
        return Choices(choices)  # a range that is missing is for the plan to name
    candidates = {  # in graph order, whatever that of the file
        name: dict.fromkeys(CANDIDATES, choices[name].range)
        if name in bounded
        else dict.fromkeys(CANDIDATES, choices[name].range)
        if wanted.get(name) is not None
        else {method: choose_range(calibration.tensors[name], schemes[name]) for method, choose_range in CANDIDATES.items()}
        for name in observed
    }
    taken = spread(samples)
    if not taken:
        return Choices(choices)
    noise = Noise(loaded.ir, taken, config, threads=threads)
    methods = {name: choices[name].method for name in observed}
    return Choices(search_ranges(candidates, methods, noise, config.activation.int_type.bits, keep, progress), len(taken))
