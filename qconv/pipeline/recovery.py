"""Recovery of accuracy, where there are real samples to do it with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import onnx_ir as ir
from numpy.typing import NDArray

from qconv.config import QuantConfig
from qconv.data.source import SampleSource
from qconv.model.graph import const_array
from qconv.model.traits import Trait, has_trait
from qconv.ops.forms import uses_of_weight
from qconv.pipeline.prepared import PreparedModel
from qconv.pipeline.samples import recorded_samples, synthetic
from qconv.plan.make import make_plan
from qconv.plan.quant_plan import ChannelScales, QuantPlan
from qconv.plan.steep import Steep
from qconv.recover.channels.equalize import Form, RangeOf, forms
from qconv.recover.from_moments import FromMoments, recover_from_moments
from qconv.recover.recover import EFFORTS, Recovered, recover
from qconv.statistics.calibration import Calibration
from qconv.statistics.observe import Progress

Feeds = Mapping[str, NDArray[Any]]
_GATE_GAIN = 0.8  # of the noise: what a gate that needs a convolution of its own must leave at most
_LEAST = "fast"
_SMALL = 1e11  # products of all layers over all samples: some seconds
_FINE = 0.01  # noise of the outputs, 20 dB, under which gates stay as they are
_GOOD = 0.03  # of the outputs, 15 dB: more noise than this says little of what recovery can make good


def recovery_samples(
    loaded: PreparedModel, calibration: Calibration, config: QuantConfig, samples: SampleSource | None
) -> list[Feeds]:
    """The samples that recovery works with, by the effort of `config`; none where it cannot be done.

    Without `samples`, those of the calibration are opened again where they are a file.
    """
    effort = EFFORTS.get(config.effort)
    if effort is None or _has_subgraphs(loaded) or config.pins:
        return []
    if samples is None:
        samples = recorded_samples(loaded, calibration)
    if samples is None or synthetic(samples) is not None:
        return []
    return [sample.feeds for sample in islice(iter(samples), effort.samples)]


def moments_recovery(loaded: PreparedModel, plan: QuantPlan, calibration: Calibration, config: QuantConfig) -> FromMoments | None:
    """Weights fitted to the second moments of the calibration; None where it has none, or no effort is asked for."""
    effort = EFFORTS.get(config.effort)
    if effort is None or config.pins or calibration.moments is None:
        return None
    return recover_from_moments(loaded.ir, plan, config, calibration.moments, effort)


@dataclass(frozen=True)
class Recovery:
    """The form of a network that came out best, its plan with better weights, and the noise of all forms before."""

    form: Form
    before: float
    weights: Recovered

    @property
    def plan(self) -> QuantPlan:
        """What lowering shall do with the model of the form."""
        return self.weights.plan


def recovery(
    loaded: PreparedModel, plan: QuantPlan, ranges: Mapping[str, tuple[float, float]], config: QuantConfig,
    samples: Sequence[Feeds], threads: int, progress: Progress | None = None, steep: Steep = Steep(),
) -> Recovery:  # fmt: skip
    """Channel scales where they gain, then weights, by the effort of `config`.

    All forms are recovered and compared where the network is small. In a large one a simulation with nearest weights tells which
    form is best, unless none is good: a simulation that has nothing in common with the network tells nothing. Then channel
    scales, by which fitted weights nearly always gain, are tried first, and the other forms where that is not good either.
    """

    def make(graph: ir.Graph, range_of: RangeOf, scales: Mapping[str, ChannelScales]) -> QuantPlan:
        return make_plan(graph, range_of, config, loaded.digest, scales, steep)

    def by(effort: str, form: Form) -> Recovered:
        return recover(form.model, form.plan, config, samples, EFFORTS[effort], threads=threads, progress=progress)

    def recovered(form: Form) -> Recovered:
        found = by(config.effort, form)
        return found if found.layers or config.effort == _LEAST else by(_LEAST, form)  # more rows may fit chance

    plain, *scaled = forms(loaded.ir, plan, make, ranges.get, config, samples, threads, progress)
    if min(form.noise for form in (plain, *scaled) if not form.gated) < _FINE:
        scaled = [form for form in scaled if not form.gated]  # what a convolution for each gate would cost is not worth it
    best = plain
    for form in scaled:
        best = form if form.noise < best.noise * _share(form) else best
    large = not _is_small(loaded.ir.graph, len(samples))
    if best.noise < _GOOD and large:
        return Recovery(best, plain.noise, recovered(best))
    found = []
    for form in (*scaled, plain):
        found.append((form, recovered(form)))
        if large and found[-1][1].unseen < _FINE:
            break
    best, weights = min(found, key=lambda pair: pair[1].unseen / _share(pair[0]))
    return Recovery(best, plain.noise, weights)


def _share(form: Form) -> float:
    """Which part of the noise of another form this one may have at most, to be taken instead of it."""
    return _GATE_GAIN if form.gated else 1.0


def _is_small(graph: ir.Graph, samples: int) -> bool:
    """Whether all layers together multiply so little over the samples that several forms may be recovered; False if not known."""
    products = 0
    for node in graph:
        if not has_trait(node, Trait.WEIGHTS):
            continue
        weight, uses = const_array(node.inputs[1]), uses_of_weight(node)
        if weight is None or uses is None:
            return False
        products += weight.size * uses
    return products * samples <= _SMALL


def _has_subgraphs(loaded: PreparedModel) -> bool:
    """Whether nodes hold graphs of their own, which may read anything of the outer one: it cannot be run in stages."""
    kinds = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
    return any(attr.type in kinds for node in loaded.ir.graph for attr in node.attributes.values())
