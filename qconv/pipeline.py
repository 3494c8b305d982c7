"""The tool as functions that read like the diagram: load, prepare, calibrate, plan, lower, certify, save, verify."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import onnx_ir as ir

from qconv import __version__
from qconv.calibrate import (
    Calibration,
    DataSpec,
    ImageOptions,
    InputInfo,
    SampleSource,
    Shard,
    Summary,
    inputs_of,
    open_source,
)
from qconv.calibrate import calibrate as collect
from qconv.calibrate.checks import Check, Watched, all_checks, still_tensors
from qconv.calibrate.data.limited import Limited
from qconv.calibrate.data.strided import Strided
from qconv.calibrate.data_free import data_free_ranges
from qconv.calibrate.methods import Choice, method_named
from qconv.calibrate.moved_source import MovedSource, moved_if_synthetic
from qconv.calibrate.resume import Keeper
from qconv.calibrate.shard import Coverage
from qconv.calibrate.synthetic import SyntheticSource
from qconv.config import QuantConfig
from qconv.errors import ArtifactError, FloatNodesError, ModelError, UsageError
from qconv.integer.audit import Audit, audit
from qconv.integer.table import dumps_table
from qconv.lower import Lowering, lower
from qconv.model.load import LoadedModel, load
from qconv.model.save import save, write_text
from qconv.plan.file import QuantPlan
from qconv.plan.make import make_plan, tensors_to_observe
from qconv.plan.outcomes import outcomes
from qconv.prepare import prepare
from qconv.prepare.selfcheck import largest_relative_difference
from qconv.verify import Effort, Models, Report, Thresholds
from qconv.verify import verify as compare_models
from qconv.verify.compare import compare
from qconv.verify.sides import Side

Progress = Callable[[int, int | None], None]
Warn = Callable[[str], None]

# Preparation reorders float32 sums and multiplies weights ahead of time: 1e-6 to 1e-4 in practice. More than this is a defect.
SELF_CHECK_LIMIT = 1e-2
SELF_CHECK_SAMPLES = 4
QUICK_SAMPLES = 32
SYNTHETIC_ELEMENTS = 1 << 24
QUANTIZED_OPS = frozenset({"QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger"})
CALIBRATION_SUFFIX = ".calib.json"


@dataclass(frozen=True)
class Quantized:
    """An integer model and everything that was decided about it.

    `choices` are the calibrated ranges by tensor, with the methods that they come from; none where a plan was given.
    """

    model: ir.Model
    plan: QuantPlan
    lowering: Lowering
    audit: Audit
    choices: Mapping[str, Choice]

    def save(self, path: str | Path) -> None:
        """Writes the model and, beside it, the table of all tensors and multipliers: model.int8.onnx and model.int8.json.

        Raises OutputError or ModelError; nothing half-written stays behind.
        """
        target = Path(path)
        save(self.model, target)
        write_text(target.with_suffix(".json"), dumps_table(self.model))


def load_prepared(path: str | Path) -> LoadedModel:
    """Loads a float model and brings it into the canonical form that the other stages read. Raises ModelError."""
    loaded = load(path)
    quantized = sum(node.op_type in QUANTIZED_OPS for node in loaded.ir.graph.all_nodes())
    if quantized:
        raise ModelError(f"{path} is quantized already ({quantized} nodes); give the float model that it was made from")
    prepare(loaded.ir)
    return loaded


def samples_for(
    model: LoadedModel,
    data: str | None,
    *,
    images: ImageOptions = ImageOptions(),
    labels: str | Path | None = None,
    samples: int | None = None,
) -> SampleSource:
    """Opens the samples that `data` names, or synthetic ones; `samples` takes only the first. Raises DataError."""
    label_file = None if labels is None else Path(labels)
    inputs = inputs_of(model.ir)
    original = load(model.path).ir if data is None else None
    source = open_source(data, inputs, images, labels=label_file, original=original, count=_synthetic_count(inputs))
    return source if samples is None else Limited(source, samples)


def _synthetic_count(inputs: Sequence[InputInfo]) -> int:
    """How many synthetic samples to make: 64, but fewer of inputs so large that making them would take the time."""
    elements = sum(math.prod(size or 1 for size in info.shape) for info in inputs)
    return min(64, max(4, SYNTHETIC_ELEMENTS // max(elements, 1)))


def samples_of(model: LoadedModel, calibration: Calibration, *, labels: str | Path | None = None) -> SampleSource:
    """The samples that a calibration was made with, or synthetic ones where they are not a file or are gone."""
    spec = calibration.data
    if spec is None or not Path(spec.path).exists():
        return samples_for(model, None)
    return samples_for(model, spec.path, images=spec.images, labels=labels, samples=spec.samples)


def self_check(model: LoadedModel, source: SampleSource) -> float:
    """The largest relative difference between the prepared model and its file on a few samples; ModelError past a bound."""
    feeds = [sample.feeds for sample in islice(iter(source), SELF_CHECK_SAMPLES)]
    difference = largest_relative_difference(model.path, model.ir, feeds)
    if not difference <= SELF_CHECK_LIMIT:
        raise ModelError(
            f"simplifying {model.path} changed its outputs by {difference:.1e} of their size, which is no rounding; "
            "please report the model, and export it with batch norms folded until then"
        )
    return difference


def calibrate(
    model: str | Path | LoadedModel, data: str | SampleSource | None = None, *, method: str = "minmax",
    samples: int | None = None, images: ImageOptions = ImageOptions(), config: QuantConfig = QuantConfig(),
    exact: bool = False, threads: int = 0, progress: Progress | None = None, warn: Warn | None = None,
    shard: Shard = Shard(), progress_file: Path | None = None, resume: bool = False,
) -> Calibration:  # fmt: skip
    """Summarizes all tensors that a plan will ask for, in one streaming pass; `method` is what ranges are chosen by later.

    `data` is an .npz, a folder of arrays or images, `module:function`, or an open source; without it, synthetic samples are
    made. With `warn`, the samples are checked as they pass (qconv/calibrate/checks), and it is called with every finding.
    `shard` takes a part of the samples, to be merged later. Every few seconds progress is saved in `progress_file`, which the
    caller removes once the result is safe; `resume` goes on from there.
    Raises ModelError, DataError, UsageError, or ArtifactError where the progress is of another run.
    """
    loaded = model if isinstance(model, LoadedModel) else load_prepared(model)
    method_named(method)
    _refuse_order(method, data, shard, resume)
    source = samples_for(loaded, data, images=images, samples=samples) if data is None or isinstance(data, str) else data
    source = moved_if_synthetic(source, loaded.path, inputs_of(loaded.ir))
    tensors = tensors_to_observe(loaded.ir.graph, config)
    spec = DataSpec(str(Path(data).resolve()), images, samples) if isinstance(data, str) and Path(data).exists() else None
    keeper = Keeper(
        None if method == "ema" else progress_file,
        {
            "model": loaded.digest, "data": [source.description, None if spec is None else spec.to_json()],
            "set of tensors": sorted(tensors), "--exact": exact, "--shard": str(shard),
        },
        resume=resume,
    )  # fmt: skip
    seen = keeper.done

    def count(done: int, total: int | None) -> None:
        nonlocal seen
        seen = keeper.done + done
        if progress is not None:
            progress(seen, None if total is None else keeper.done + total)

    part = Strided(source, shard.number - 1 + keeper.done * shard.count, shard.count)
    watched = Watched(part, _checks(loaded, source, part=part.first > 0 or part.step > 1) if warn is not None else ())
    latest = collect(
        loaded.ir, tensors, watched, averages=method == "ema", exact=exact, threads=threads,
        progress=count, keep=keeper.keep, first=part.first, step=part.step,
    )  # fmt: skip
    summaries = keeper.with_earlier(latest)
    if warn is not None:
        still = () if shard.count > 1 else still_tensors({name: (s.lo, s.hi) for name, s in summaries.items()})
        for finding in (*watched.findings(), *still):
            warn(finding)
        if isinstance(source, MovedSource):
            warn(source.finding)
    derived = _derived(loaded, source, summaries)
    coverage = Coverage(shard.count, {shard.number: seen}, exact) if shard.count > 1 else None
    return Calibration(loaded.digest, method, seen, source.description, source.warning, summaries, spec, derived, coverage)


def check_samples(loaded: LoadedModel, source: SampleSource, count: int) -> list[str]:
    """What the checks of the data find in the first `count` samples, without running the model."""
    watched = Watched(Limited(source, count), _checks(loaded, source))
    for _ in watched:
        pass
    return watched.findings()


def _refuse_order(method: str, data: str | SampleSource | None, shard: Shard, resume: bool) -> None:
    if method == "ema" and (shard.count > 1 or resume):
        raise UsageError("method ema depends on the order of the samples and takes them in one go; use another --method")
    if data is None and shard.count > 1:
        raise UsageError("only real samples are worth sharding; give them with --data")


def _checks(loaded: LoadedModel, source: SampleSource, *, part: bool = False) -> tuple[Check, ...]:
    """Those for real samples; the model is loaded again for its batch norms, which preparation folds away."""
    whole = source.source if isinstance(source, Limited) else source
    synthetic = isinstance(whole, SyntheticSource | MovedSource)
    return () if synthetic else all_checks(load(loaded.path).ir, inputs_of(loaded.ir), part=part)


def _derived(loaded: LoadedModel, source: SampleSource, summaries: Mapping[str, Summary]) -> dict[str, tuple[float, float]]:
    """The ranges of all tensors where the samples are synthetic; none where they are real, and a method shall choose."""
    drawn = source.origin if isinstance(source, MovedSource) else source
    if not isinstance(drawn, SyntheticSource):
        return {}
    extremes = {name: (summary.lo, summary.hi) for name, summary in summaries.items()}
    return data_free_ranges(extremes, load(loaded.path).ir.graph, exact=drawn.exact, outcomes=outcomes(loaded.ir.graph))


def quantize(
    model: str | Path | LoadedModel,
    calibration: Calibration,
    *,
    config: QuantConfig = QuantConfig(),
    plan: QuantPlan | None = None,
) -> Quantized:
    """Turns a float model into an integer one. `plan` overrides what the calibration would decide.

    Raises ArtifactError when the calibration or the plan belongs to another model, FloatNodesError when `config.integer_only`
    is set and nodes stay in float. A LoadedModel given is used up.
    """
    loaded = model if isinstance(model, LoadedModel) else load_prepared(model)
    calibration.check_model(loaded.digest)
    choices: dict[str, Choice] = {}
    if plan is None:
        choose = calibration.choice_of(config.activation, config.method, config.percent, outcomes(loaded.ir.graph))
        choices = {name: choice for name in calibration.tensors if (choice := choose(name)) is not None}
        ranges = {name: choice.range for name, choice in choices.items()}
        plan = make_plan(loaded.ir.graph, ranges.get, config, loaded.digest)
    elif plan.model_sha256 not in ("", loaded.digest):
        raise ArtifactError("the plan belongs to another model; save one for this model with --save-plan")
    if config.integer_only:
        _refuse_float(plan)
    lowering = lower(loaded.ir, plan, config.io)
    _describe(loaded, calibration, config)
    return Quantized(loaded.ir, plan, lowering, audit(loaded.ir), choices)


def verify(
    model: str | Path, quantized: str | Path, data: str | SampleSource | None = None, *, labels: str | Path | None = None,
    samples: int | None = None, images: ImageOptions = ImageOptions(), thresholds: Thresholds = Thresholds(),
    effort: Effort = Effort(), threads: int = 0, progress: Progress | None = None,
) -> Report:  # fmt: skip
    """Compares an integer model with its float model over samples; `report.verdict` says whether `thresholds` are met.

    Raises ModelError, DataError or UsageError.
    """
    prepared, integer = load_prepared(model), load(quantized)
    beside = prepared.path.with_suffix(CALIBRATION_SUFFIX)
    if data is None and beside.exists():
        source = samples_of(prepared, Calibration.load(beside), labels=labels)
        source = source if samples is None else Limited(source, samples)
    elif data is None or isinstance(data, str):
        source = samples_for(prepared, data, images=images, labels=labels, samples=samples)
    else:
        source = data
    models = Models(prepared.path, prepared.ir, integer.path, integer.ir)
    return compare_models(models, source, thresholds=thresholds, effort=effort, threads=threads, progress=progress)


@dataclass(frozen=True)
class QuickCheck:
    """SQNR of every output over the first samples, in dB; infinite where nothing differs."""

    samples: int
    sqnr_db: Mapping[str, float]


def quick_check(
    model: str | Path,
    quantized: str | Path,
    source: SampleSource,
    *,
    samples: int = QUICK_SAMPLES,
    progress: Progress | None = None,
) -> QuickCheck:
    """The outputs of both models over the first `samples`: what `quantize` ends with."""
    integer_side = Side(Path(quantized), load(quantized).ir)
    found = compare(Side(Path(model)), integer_side, Limited(source, samples), progress)
    return QuickCheck(found.samples, {output.name: output.similarity.sqnr_db for output in found.outputs})


def _refuse_float(plan: QuantPlan) -> None:
    if plan.float_nodes:
        listed = "; ".join(f"{name}: {reason}" for name, reason in plan.float_nodes.items())
        raise FloatNodesError(
            f"{len(plan.float_nodes)} nodes have no integer form, so the model cannot be integer-only: {listed}"
        )


def _describe(loaded: LoadedModel, calibration: Calibration, config: QuantConfig) -> None:
    """Writes into the model what made it."""
    properties = loaded.ir.metadata_props
    properties["qconv.version"] = __version__
    properties["qconv.model_sha256"] = loaded.digest
    properties["qconv.calibration"] = json.dumps({**calibration.origin(), "method": config.method or calibration.method})
    loaded.ir.producer_name, loaded.ir.producer_version = "qconv", __version__
