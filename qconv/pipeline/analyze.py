"""Which parts of a network lose what, and what to leave in float."""

from __future__ import annotations

import glob
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import onnx_ir as ir
from numpy.typing import NDArray

from qconv.analyze.analysis import Analysis, PlaceReport
from qconv.analyze.findings import Known, Rank, findings
from qconv.analyze.propose import LEAST_GAIN_DB, Group, Proposal, groups
from qconv.analyze.sensitivity import BITS, Measure, sensitivity, worst_sqnr_db
from qconv.arguments import checks_arguments
from qconv.config import QuantConfig
from qconv.errors import DataError
from qconv.model.graph import const_array
from qconv.model.session import open_session
from qconv.ops.op_table import has_weight
from qconv.pipeline.calibrate import calibrate
from qconv.pipeline.choices import choose, spread
from qconv.pipeline.prepared import AnyModel, PreparedModel, prepared
from qconv.pipeline.recall import recalled
from qconv.pipeline.samples import Data, samples_for, samples_of
from qconv.plan.make import make_plan, tensors_to_observe
from qconv.recover.channels.extremes import Extremes, channel_extremes
from qconv.recover.twin import Twin
from qconv.statistics.calibration import Calibration
from qconv.statistics.observe import Progress

SAMPLES = 8
_SECONDS = 60.0  # for all places; fewer samples and fewer numbers of bits where it would take longer
_PARTS = 3  # runs of a place with a weight for each number of bits
_FEEDS = Mapping[str, NDArray[Any]]


@checks_arguments
def analyze(
    model: AnyModel | PreparedModel,
    calibration: Calibration,
    *,
    samples: Data | None = None,
    config: QuantConfig = QuantConfig(),
    threads: int = 0,
    progress: Progress | None = None,
) -> Analysis:
    """Measures every place of a network on a few of the samples, by default those of the calibration.

    Places with a fault come first, then those that cost most.

    Raises ArtifactError where the calibration belongs to another model, DataError without samples.
    """
    config = recalled(config, calibration.setup)
    loaded = prepared(model, config.fixed)
    config = loaded.pinned(config)
    calibration.check_model(loaded.digest)
    source = samples_of(loaded, calibration) if samples is None else samples_for(loaded, samples)
    feeds = [sample.feeds for sample in spread(source)[:SAMPLES]]
    if not feeds:
        raise DataError(f"{source.description} has no samples; give at least one")
    ranges = _ranges(loaded, calibration, config)
    measure, bits = _affordable(loaded, ranges, config, feeds, threads)
    found = sensitivity(measure, len(feeds), bits, progress)
    known = Known(calibration.tensors, _extremes(loaded.ir, measure, feeds, threads))
    odd = {loss.place: findings(loaded.ir.graph, loss, known) for loss in found.places}
    ranked = sorted(found.places, key=lambda loss: min((finding.rank for finding in odd[loss.place]), default=Rank.ODD))
    reports = tuple(
        PlaceReport(
            loss.place.node, loss.place.op_type, loss.place.tensors, loss.place.readers, loss.alone.both, loss.alone.weight,
            loss.alone.activation, loss.without_db, tuple(finding.text for finding in odd[loss.place]),
        )
        for loss in ranked
    )  # fmt: skip
    enough = found.whole_db[max(bits)] + LEAST_GAIN_DB
    proposals = tuple(
        proposal
        for group in groups(measure, found)
        if (proposal := _proposal(loaded, ranges, config, feeds, group, threads)).sqnr_db >= enough
    )
    return Analysis(str(loaded.path), source.description, found.samples, found.whole_db, reports, proposals)


def _ranges(loaded: PreparedModel, calibration: Calibration, config: QuantConfig) -> dict[str, tuple[float, float]]:
    choices = choose(loaded, calibration, replace(config, method=config.method or "minmax"))
    return {name: choice.range for name, choice in choices.by_tensor.items()}


def _affordable(
    loaded: PreparedModel, ranges: Mapping[str, tuple[float, float]], config: QuantConfig, feeds: list[_FEEDS], threads: int
) -> tuple[Measure, Sequence[int]]:
    """A measure with as many of the samples as there is time for, and the numbers of bits."""
    measure = Measure(loaded.ir, ranges.get, config, feeds[:1], threads)
    start = time.monotonic()
    measure.sqnr_db(measure.setting(max(BITS)))
    seconds = (time.monotonic() - start) * len(measure.places)
    bits = BITS if seconds * (_PARTS * len(BITS) + 2) <= _SECONDS else BITS[:1]
    count = max(1, int(_SECONDS / max(seconds * (_PARTS * len(bits) + 2), 1e-9)))
    del feeds[count:]
    return Measure(loaded.ir, ranges.get, config, feeds, threads), bits


def _extremes(model: ir.Model, measure: Measure, feeds: Sequence[_FEEDS], threads: int) -> dict[str, Extremes]:
    """The extremes of the channels of pictures, and of those of matrices with a product for each."""
    values = {str(value.name): value for value in (*model.graph.inputs, *(v for node in model.graph for v in node.outputs))}
    nodes = {str(node.name): node for node in model.graph}
    makers = {tensor: nodes.get(place.node) for place in measure.places for tensor in place.tensors}
    axes = {}
    for name in measure.plan.rounded:
        shape, maker = values[name].shape, makers.get(name)
        if shape is None or len(shape) < 2:
            continue
        weight = const_array(maker.inputs[1]) if maker is not None and has_weight(maker) else None
        axis = len(shape) - 1 if weight is not None and weight.ndim == 2 else 1
        if isinstance(shape[axis], int):
            axes[name] = axis
    return channel_extremes(model, axes, feeds, threads) if axes else {}


def _proposal(
    loaded: PreparedModel, ranges: Mapping[str, tuple[float, float]], config: QuantConfig, feeds: Sequence[_FEEDS], group: Group,
    threads: int,
) -> Proposal:  # fmt: skip
    """The group as patterns, with the SQNR of a plan that leaves them in float, which may take neighbours with it."""
    patterns = tuple(glob.escape(name) for name in group.nodes)
    excluding = replace(config, exclude=(*config.exclude, *patterns))
    if not set(tensors_to_observe(loaded.ir.graph, excluding)) <= ranges.keys():  # nodes that were one are taken apart
        ranges = _ranges(loaded, calibrate(loaded, list(feeds), config=excluding, threads=threads), excluding)
    plan = make_plan(loaded.ir.graph, ranges.get, excluding, loaded.digest)
    twin = open_session(Twin(loaded.ir, plan, excluding).model, threads=threads, fuse_quantized=False)
    plain = open_session(loaded.ir, threads=threads)
    pairs = [(list(twin.run(None, dict(feed))), list(plain.run(None, dict(feed)))) for feed in feeds]
    return Proposal(group.what, patterns, worst_sqnr_db([found for found, _ in pairs], [exact for _, exact in pairs]))
