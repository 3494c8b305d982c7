"""Recovery of accuracy, where there are real samples to do it with."""

from __future__ import annotations

from itertools import islice

import onnx_ir as ir

from qconv.config import QuantConfig
from qconv.data.source import SampleSource
from qconv.pipeline.prepared import PreparedModel
from qconv.pipeline.samples import recorded_samples, synthetic
from qconv.plan.quant_plan import QuantPlan
from qconv.recover.recover import EFFORTS, Recovered, recover
from qconv.statistics.calibration import Calibration


def recovered_plan(
    loaded: PreparedModel,
    calibration: Calibration,
    plan: QuantPlan,
    config: QuantConfig,
    samples: SampleSource | None,
    threads: int,
) -> Recovered | None:
    """The plan with better weights, by the effort of `config`; None where there is nothing to do it with.

    Without `samples`, those of the calibration are opened again where they are a file.
    """
    effort = EFFORTS.get(config.effort)
    if effort is None:
        return None
    if samples is None:
        samples = recorded_samples(loaded, calibration)
    if samples is None or synthetic(samples) is not None:
        return None
    feeds = [sample.feeds for sample in islice(iter(samples), effort.samples)]
    if not feeds or _has_subgraphs(loaded):
        return None
    return recover(loaded.ir, plan, config, feeds, effort, threads=threads)


def _has_subgraphs(loaded: PreparedModel) -> bool:
    """Whether nodes hold graphs of their own, which may read anything of the outer one: it cannot be run in stages."""
    kinds = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
    return any(attr.type in kinds for node in loaded.ir.graph for attr in node.attributes.values())
