"""What is decided about a network from its calibration and samples: ranges, a plan, and better weights for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from qconv.config import QuantConfig
from qconv.data.source import SampleSource
from qconv.pipeline.choices import Choices, choose
from qconv.pipeline.distributions import distributions
from qconv.pipeline.prepared import PreparedModel
from qconv.pipeline.raw_pixels import as_pixels
from qconv.pipeline.recovery import Recovery, moments_recovery, recovery, recovery_samples
from qconv.plan.cancelling import settle_cancelling
from qconv.plan.eligible import float_nodes
from qconv.plan.emptied import emptied
from qconv.plan.far_from_zero import outputs_far_from_zero
from qconv.plan.fine import fine_outputs
from qconv.plan.make import make_plan
from qconv.plan.product_trees import product_trees
from qconv.plan.quant_plan import QuantPlan
from qconv.plan.roots import roots_of_sums
from qconv.plan.scores import coarse_scores
from qconv.plan.shared_scales import integer_nodes
from qconv.plan.signals import signal_layers
from qconv.plan.steep import Steep, settle
from qconv.recover.from_moments import FromMoments
from qconv.statistics.calibration import Calibration
from qconv.statistics.observe import Progress
from qconv.targets import Rules, target_of


@dataclass(frozen=True)
class Planned:
    """A prepared model, in the form that came out best, and its plan.

    `recovery` and `by_moments` tell what better weights gained, from samples or from moments; None where that was not tried.
    """

    model: ir.Model
    plan: QuantPlan
    choices: Choices
    recovery: Recovery | None = None
    by_moments: FromMoments | None = None


def planned(
    loaded: PreparedModel, calibration: Calibration, config: QuantConfig, samples: SampleSource | None, *,
    progress: Progress | None = None, threads: int = 0,
) -> Planned:  # fmt: skip
    """Plans a network; without `samples`, those of the calibration are opened again where they are a file."""
    choices = choose(loaded, calibration, config, samples, progress, threads)
    ranges = {name: choice.range for name, choice in choices.by_tensor.items()}
    feeds = recovery_samples(loaded, calibration, config, samples)
    if config.pixels is not None:
        feeds = as_pixels(loaded.ir, config.pixels, ranges, feeds)
    plan = make_plan(loaded.ir.graph, ranges.get, config, loaded.digest)
    steep = _steep(loaded.ir.graph, plan, calibration, config)
    if steep != Steep():
        # Between other nodes in float, a range may count that followed from another one: what its codes held is as wide.
        ranges = {name: params.ends for name, params in plan.tensors.items() if params.axis is None} | ranges
        plan = make_plan(loaded.ir.graph, ranges.get, config, loaded.digest, steep=steep)
    if not feeds:
        # Moments are those of normalised pictures.
        by_moments = None if config.pixels is not None else moments_recovery(loaded, plan, calibration, config)
        return Planned(loaded.ir, plan if by_moments is None else by_moments.plan, choices, None, by_moments)
    found = recovery(loaded, plan, ranges, config, feeds, threads, progress, steep)
    return Planned(found.form.model, found.plan, choices, found, None)


def _steep(graph: ir.Graph, plan: QuantPlan, calibration: Calibration, config: QuantConfig) -> Steep:
    """What becomes of functions and layers that 8 bits do not serve; those of a quantized model stay as they are.

    Its outputs without a scale may have 16 bits, as those of others.
    """
    if config.pixels is not None or calibration.derived:
        return Steep()
    nodes = list(integer_nodes(graph, plan.kept))
    empty = emptied(nodes, _seen_in(calibration), calibration.samples)
    if config.pins:
        return _fine_outputs(nodes, plan, calibration, config).joined(empty)
    nodes = [node for node in nodes if node.name not in empty.in_float]
    return empty.joined(_imprecise(graph, nodes, plan, calibration, config))


def _seen_in(calibration: Calibration) -> Callable[[str], int | None]:
    """In how many samples a tensor that was calibrated has elements."""

    def found(name: str) -> int | None:
        summary = calibration.tensors.get(name)
        return None if summary is None else summary.samples

    return found


def _imprecise(
    graph: ir.Graph, nodes: Sequence[ir.Node], plan: QuantPlan, calibration: Calibration, config: QuantConfig
) -> Steep:
    """What becomes of integer nodes that 8 bits do not serve, of a model that was not quantized before."""
    met_of = distributions(calibration)
    found = settle(nodes, plan.tensors, met_of, float_inputs=config.io == "float", keep_integer=config.integer_only)
    nodes = [node for node in nodes if node.name not in found.in_float]
    free = [node for node in nodes if node.name not in found.nodes]
    found = found.joined(roots_of_sums(free, plan.tensors, met_of)).joined(product_trees(free))
    found = found.joined(coarse_scores(nodes, plan.tensors))
    if config.io != "float":
        return found
    found = found.joined(_fine_outputs(nodes, plan, calibration, config))
    if not config.integer_only:
        rest = [node for node in nodes if node.name not in found.nodes and node.outputs[0].name not in found.fine]
        found = found.joined(outputs_far_from_zero(rest, plan.tensors, met_of))
    # What no kernel bears in 8 bits may be good in int32.
    kept = {**float_nodes(graph, config.excluded, config.prefer), **plan.aside, **found.in_float}
    sums = [node for node in integer_nodes(graph, kept) if node.name not in found.nodes]
    drowned = settle_cancelling(sums, plan.tensors, distributions(calibration), keep_integer=config.integer_only)
    if not found.nodes & set(drowned.in_float):  # what leads to a steep function is decided already
        found = found.joined(drowned)
    return found.joined(signal_layers(nodes))


def _fine_outputs(nodes: Sequence[ir.Node], plan: QuantPlan, calibration: Calibration, config: QuantConfig) -> Steep:
    """The outputs that shall have 16 bits, none of which has a scale that is given."""
    if config.io != "float" or Rules.STANDARD in target_of(config.target).rules:
        return Steep()
    found = fine_outputs(nodes, plan.tensors, distributions(calibration))
    return Steep(fine=found.fine - config.pins.activations.keys())
