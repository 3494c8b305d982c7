"""Float model + Calibration -> integer model: plan, lower, certify, audit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import onnx_ir as ir

from qconv.arguments import checks_arguments
from qconv.config import QuantConfig
from qconv.data.source import SampleSource
from qconv.errors import ArtifactError, FloatNodesError, UsageError
from qconv.integer.file_form import file_form, names_in_file
from qconv.integer.language.audit import Audit, audit
from qconv.integer.metadata import Origin, write_origin
from qconv.integer.multiplier_table import dumps_table
from qconv.integer.program import Program
from qconv.lower import Lowering, lower
from qconv.model.read import digest_of
from qconv.model.save import save, write_text
from qconv.pipeline.calibrate import calibrate
from qconv.pipeline.choices import Choices
from qconv.pipeline.distributions import distributions
from qconv.pipeline.import_summary import import_summary
from qconv.pipeline.made import calibration_digest, settings_to_json
from qconv.pipeline.modes import InMode, in_mode
from qconv.pipeline.outputs import Kind, check_outputs, named
from qconv.pipeline.planned import Planned, planned
from qconv.pipeline.prepared import SELF_CHECK_SAMPLES, AnyModel, PreparedModel, prepared, self_check
from qconv.pipeline.recall import recalled
from qconv.pipeline.recovery import Recovery
from qconv.pipeline.samples import Data, recorded_samples, samples_for
from qconv.plan.check import check_plan
from qconv.plan.far_from_zero import inputs_far_from_zero, nodes_far_from_zero
from qconv.plan.quant_plan import QuantPlan
from qconv.plan.shared_scales import integer_nodes
from qconv.plan.steep import steep_warnings
from qconv.plan.subgraphs import untouched_subgraphs
from qconv.prepare.take_pixels import take_pixels
from qconv.ranges.methods import Choice
from qconv.recover.channels.equalize import apply_scales
from qconv.recover.from_moments import FromMoments
from qconv.sentences import counted
from qconv.statistics.calibration import Calibration
from qconv.statistics.observe import Progress
from qconv.targets import Rules, target_of
from qconv.verify.exact.processors import exact_on
from qconv.version import VERSION

_MOST_FAULTS = 5  # of a plan that one message lists


@dataclass(frozen=True)
class Quantized:
    """An integer model and everything that was decided about it.

    `choices` are the calibrated ranges by tensor, with the methods that they come from; none where a plan was given. `measured`
    tells with how many samples method auto measured.
    `recovery` tells what scales per channel and better weights gained, None where they were not tried; `by_moments` the same
    where samples were gone, and second moments of the calibration were there. `imported` tells of a
    quantized model what became of its parameters. `config` is what was asked for. `in_mode` tells what a mode other than static
    did. `warnings` should be shown, and `doubts` where the outputs turn out poor.
    """

    model: ir.Model
    plan: QuantPlan
    lowering: Lowering
    audit: Audit
    choices: Mapping[str, Choice]
    measured: int = 0
    recovery: Recovery | None = None
    by_moments: FromMoments | None = None
    in_mode: InMode | None = None
    imported: tuple[str, ...] = ()
    config: QuantConfig = field(default_factory=QuantConfig)
    warnings: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Quantized model: {self.audit.integer_nodes} integer nodes, {len(self.plan.float_nodes)} in float>"

    @property
    def methods(self) -> dict[str, list[str]]:
        """The tensors by the method that chose their ranges."""
        found: dict[str, list[str]] = {}
        for name, choice in self.choices.items():
            found.setdefault(choice.method, []).append(name)
        return dict(sorted(found.items()))

    @property
    def file_form(self) -> ir.Model:
        """A copy of the model as its file has it."""
        return file_form(self.model, planes=Rules.STANDARD not in target_of(self.config.target).rules)

    @checks_arguments
    def save(self, path: str | Path) -> tuple[Path, ...]:
        """Writes the model and, beside it, the table of all tensors and multipliers: model.int8.onnx and model.int8.json.

        Returns the files of the model: its graph, and external data if it has any. Raises OutputError or ModelError; nothing
        half-written stays behind, and no float model, or file of another kind, is overwritten.
        """
        target, form = named(Path(path)), self.file_form
        outputs = {"the model": (target, Kind.INTEGER), "its table": (target.with_suffix(".json"), Kind.TABLE)}
        check_outputs((), outputs)
        files, names = save(form, target), names_in_file(self.model, form)
        write_text(target.with_suffix(".json"), dumps_table(self.lowering.program, digest_of(files), names))
        return files


@checks_arguments
def quantize(
    model: AnyModel | PreparedModel,
    calibration: Calibration | str | Path | None = None,
    *,
    config: QuantConfig = QuantConfig(),
    plan: QuantPlan | None = None,
    samples: Data | None = None,
    threads: int = 0,
    progress: Progress | None = None,
) -> Quantized:
    """Turns a float model into an integer one. `calibration` may be the path of its file; without one, `samples` are calibrated
    with, which is what `qconv quantize --data` does. Modes other than static need no calibration.

    `plan` overrides what the calibration would decide.

    Method auto measures what ranges cost on some `samples`, by default those of the calibration; without real ones at hand it
    guesses from the histograms.

    Raises ArtifactError when the calibration or the plan belongs to another model, FloatNodesError when `config.integer_only`
    is set and nodes stay in float. A PreparedModel given is used up.
    """
    if calibration is not None and not isinstance(calibration, Calibration):
        calibration = Calibration.load(calibration)
    config = config if calibration is None else recalled(config, calibration.setup)
    loaded = prepared(model, config.fixed)
    source = None if samples is None else samples_for(loaded, samples)
    if calibration is not None:
        calibration.check_model(loaded.digest)
    if config.mode != "static":
        return _in_mode(loaded, calibration, config, source, threads, progress)
    if calibration is None:
        if source is None:
            raise UsageError(
                "ranges come from a calibration or from samples, and neither is given; give samples, or a calibration"
            )
        calibration = calibrate(loaded, source, config=config, threads=threads, progress=progress)
    config = loaded.with_thresholds(config)
    if plan is None:
        made = planned(loaded, calibration, config, source, progress=progress, threads=threads)
    else:
        made = _given(loaded, plan, config)
    loaded, plan, choices = replace(loaded, ir=made.model), made.plan, made.choices
    if config.integer_only:
        _refuse_float(plan)
    ranges = {name: choice.range for name, choice in choices.by_tensor.items()} if config.pixels is None else {}
    nodes = [] if config.pins else list(integer_nodes(loaded.ir.graph, plan.kept))
    warnings = (
        *untouched_subgraphs(loaded.ir.graph),
        *inputs_far_from_zero(loaded.ir.graph, ranges.get, plan.tensors, plan.wide),
        *steep_warnings(nodes, plan.tensors, plan.steep, distributions(calibration), float_inputs=config.io == "float"),
    )
    doubts = nodes_far_from_zero(loaded.ir.graph, ranges.get, plan.tensors)
    notes = () if loaded.imported is None else loaded.imported.notes
    told = import_summary(config.pins, notes, loaded.ir.graph, plan, list(choices.by_tensor)) if config.pins else notes
    target = target_of(config.target)
    lowering = lower(loaded.ir, plan, config.io, replace(target, tuning=()) if config.no_tune else target, config.grid)
    result = Quantized(
        loaded.ir, plan, lowering, audit(loaded.ir), choices.by_tensor, choices.measured, made.recovery, made.by_moments,
        imported=told, config=config, warnings=warnings,
        doubts=doubts,
    )  # fmt: skip
    return _described(result, loaded, calibration)


def _given(loaded: PreparedModel, plan: QuantPlan, config: QuantConfig) -> Planned:
    """The model in the form that a given plan is for. Raises ArtifactError where the plan does not fit it."""
    if plan.model_sha256 not in ("", loaded.digest):
        raise ArtifactError("the plan belongs to another model; save one for this model with --save-plan")
    loaded = in_form(loaded, plan, config)
    _refuse_misfits(loaded.ir.graph, plan)
    return Planned(loaded.ir, plan, Choices({}))


def in_form(loaded: PreparedModel, plan: QuantPlan, config: QuantConfig) -> PreparedModel:
    """A prepared model, changed in place to the form that a plan is for."""
    if config.pixels is not None:
        take_pixels(loaded.ir, config.pixels)
    apply_scales(loaded.ir, plan, config.io)
    return loaded


def _in_mode(
    loaded: PreparedModel, calibration: Calibration | None, config: QuantConfig, samples: SampleSource | None, threads: int,
    progress: Progress | None,
) -> Quantized:  # fmt: skip
    checked = recorded_samples(loaded, calibration) if samples is None and calibration is not None else samples
    self_check(loaded, samples_for(loaded, None, samples=SELF_CHECK_SAMPLES) if checked is None else checked)
    done = in_mode(loaded, calibration, config, samples, threads, progress)
    plan = QuantPlan({}, done.rewritten.float_nodes, model_sha256=loaded.digest)
    lowering = Lowering(Program.build(loaded.ir.graph, {}, {}), ())
    result = Quantized(loaded.ir, plan, lowering, audit(loaded.ir), {}, in_mode=done, config=config)
    return _described(result, loaded, calibration)


def _refuse_misfits(graph: ir.Graph, plan: QuantPlan) -> None:
    faults = check_plan(graph, plan)
    if faults:
        more = f" (and {len(faults) - _MOST_FAULTS} more)" if len(faults) > _MOST_FAULTS else ""
        raise ArtifactError(f"the plan does not fit the model: {'; '.join(faults[:_MOST_FAULTS])}{more}; mend it or plan anew")


def _refuse_float(plan: QuantPlan) -> None:
    if plan.float_nodes:
        listed = "; ".join(f"{name}: {reason}" for name, reason in plan.float_nodes.items())
        raise FloatNodesError(
            f"the model cannot be integer-only, for want of an integer form of {counted(len(plan.float_nodes), 'node')}: {listed}"
        )


def _described(result: Quantized, loaded: PreparedModel, calibration: Calibration | None) -> Quantized:
    """Writes into the model and its program what made it; the tensors by method where there are several."""
    config = result.config
    ranges = None if calibration is None else _ranges(calibration, config, result.methods)
    exact = ", ".join(exact_on(result.lowering.program))
    origin = Origin(VERSION, loaded.digest, config.target, exact, ranges, settings_to_json(config))
    write_origin(result.model, origin)
    result.model.producer_name, result.model.producer_version = "qconv", VERSION
    return replace(result, lowering=replace(result.lowering, program=replace(result.lowering.program, origin=origin)))


def _ranges(calibration: Calibration, config: QuantConfig, methods: Mapping[str, list[str]]) -> dict[str, Any]:
    chosen = {"chosen": methods} if len(methods) > 1 else {}
    method = config.method or calibration.method
    return {**calibration.origin(), "method": method, **chosen, "sha256": calibration_digest(calibration)}
