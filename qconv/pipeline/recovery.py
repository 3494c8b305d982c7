"""Recovery of accuracy, where there are real samples to do it with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import onnx_ir as ir
from numpy.typing import NDArray

from qconv.config import QuantConfig
from qconv.data.source import SampleSource
from qconv.pipeline.prepared import PreparedModel
from qconv.pipeline.samples import recorded_samples, synthetic
from qconv.plan.make import make_plan
from qconv.plan.quant_plan import ChannelScales, QuantPlan
from qconv.recover.channels.equalize import Equalized, RangeOf, equalize
from qconv.recover.recover import EFFORTS, Recovered, recover
from qconv.statistics.calibration import Calibration

Feeds = Mapping[str, NDArray[Any]]


def recovery_samples(
    loaded: PreparedModel, calibration: Calibration, config: QuantConfig, samples: SampleSource | None
) -> list[Feeds]:
    """The samples that recovery works with, by the effort of `config`; none where it cannot be done.

    Without `samples`, those of the calibration are opened again where they are a file.
    """
    effort = EFFORTS.get(config.effort)
    if effort is None or _has_subgraphs(loaded):
        return []
    if samples is None:
        samples = recorded_samples(loaded, calibration)
    if samples is None or synthetic(samples) is not None:
        return []
    return [sample.feeds for sample in islice(iter(samples), effort.samples)]


def equalized_plan(
    loaded: PreparedModel, plan: QuantPlan, ranges: Mapping[str, tuple[float, float]], config: QuantConfig,
    samples: Sequence[Feeds], threads: int,
) -> Equalized:  # fmt: skip
    """The plan with channel scales where they gain, which the graph of `loaded` then has too."""

    def make(graph: ir.Graph, range_of: RangeOf, scales: Mapping[str, ChannelScales]) -> QuantPlan:
        return make_plan(graph, range_of, config, loaded.digest, scales)

    return equalize(loaded.ir, plan, make, ranges.get, config, samples, threads)


def recovered_plan(
    loaded: PreparedModel, plan: QuantPlan, config: QuantConfig, samples: Sequence[Feeds], threads: int
) -> Recovered:
    """The plan with better weights, by the effort of `config`."""
    return recover(loaded.ir, plan, config, samples, EFFORTS[config.effort], threads=threads)


def _has_subgraphs(loaded: PreparedModel) -> bool:
    """Whether nodes hold graphs of their own, which may read anything of the outer one: it cannot be run in stages."""
    kinds = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
    return any(attr.type in kinds for node in loaded.ir.graph for attr in node.attributes.values())
