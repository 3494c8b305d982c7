"""`verify`: both models over the same samples, in every respect of a `Report`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path

import onnx_ir as ir

from qconv.data.source import SampleSource
from qconv.integer.language.audit import Audit, audit
from qconv.integer.program import Program
from qconv.model.memory import give_memory_back
from qconv.model.scratch import scratch_folder
from qconv.model.session import open_session
from qconv.verify.exact.exactness import exactness
from qconv.verify.exact.processors import machine_warnings
from qconv.verify.layers.reports import Layers, layer_reports
from qconv.verify.measure.compare import compare
from qconv.verify.measure.cost import measure
from qconv.verify.measure.faster import faster_way
from qconv.verify.measure.metrics import Array
from qconv.verify.measure.parts import output_parts
from qconv.verify.measure.sides import Side
from qconv.verify.report.report import DataReport, Report
from qconv.verify.report.shout import accuracy_warnings, first_loss, input_warnings, output_warnings, random_source
from qconv.verify.report.thresholds import Thresholds

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Effort:
    """How many samples the costly parts take at most, and elements: of layers beyond one sample, for exactness beyond two.

    No samples of layers: these are not compared. `latency_seconds` are spent on measuring time.
    """

    layer_samples: int = 4
    layer_elements: int = 1 << 28
    exact_samples: int = 32
    exact_elements: int = 1 << 27
    latency_seconds: float = 2.0


@dataclass(frozen=True)
class Models:
    """What is compared: the float file, the float graph that was lowered, the integer file and its graph.

    `warnings` tell what was found when they were opened; the report repeats them. `fixed` are inputs of the float file alone,
    `sizes` the bytes of both files with their external data.
    """

    float_path: Path
    prepared: ir.Model
    integer_path: Path
    integer: ir.Model
    warnings: tuple[str, ...] = ()
    fixed: Mapping[str, Array] = field(default_factory=dict)
    sizes: tuple[int, int] = (0, 0)

    @cached_property
    def program(self) -> Program:
        """The program of the integer graph. Raises ModelError where its metadata is damaged."""
        return Program.read(self.integer)


def verify(
    models: Models, source: SampleSource, *, thresholds: Thresholds = Thresholds(), effort: Effort = Effort(),
    threads: int = 0, progress: Progress | None = None,
) -> Report:  # fmt: skip
    """Compares the integer model with the float model on all samples of `source`, and looks into it on the first few.

    Raises DataError without samples, ModelError for models that do not belong together or do not run.
    """
    program = models.program
    integer_side = Side(models.integer_path, program, threads=threads)
    float_side = Side(models.float_path, threads=threads, fixed=models.fixed)
    give_memory_back()
    comparison = compare(float_side, integer_side, source, progress, output_parts(models.prepared.graph))
    del float_side
    give_memory_back()
    first, seconds = next(iter(source)).feeds, effort.latency_seconds
    cost = measure(models.float_path, models.integer_path, program, first, seconds, models.fixed, models.sizes)
    if program.origin.mode == "static":
        cost = replace(cost, faster=faster_way(models.prepared.graph))
    give_memory_back()
    layers = Layers((), 0)
    if effort.layer_samples:
        few = islice(source, effort.layer_samples)
        layers = layer_reports(models.prepared, models.integer, program, integer_side, few, threads, effort.layer_elements)
    float_path, made_up = str(models.float_path), source.warning is not None
    beyond = input_warnings(layers.reports, [operand.name for operand in program.inputs], float_path)
    culprit = first_loss(models.prepared.graph, () if beyond else layers.reports)
    bad = output_warnings(
        comparison.outputs, float_path, culprit, made_up=made_up or bool(beyond), mode=program.origin.mode,
        draws=random_source(models.prepared.graph),
    )  # fmt: skip
    give_memory_back()
    exact = exactness(models.integer, program, integer_side, islice(source, effort.exact_samples), effort.exact_elements)
    give_memory_back()
    return Report(
        float_model=str(models.float_path),
        integer_model=str(models.integer_path),
        data=DataReport(source.description, comparison.samples, source.warning),
        outputs=comparison.outputs,
        accuracy=comparison.accuracy,
        layers=layers.reports,
        layer_samples=layers.samples,
        written=audit(models.integer),
        optimized=audit_optimized(models.integer_path),
        exactness=exact,
        cost=cost,
        verdict=thresholds.judge(comparison.outputs, comparison.accuracy, exact.reasons),
        warnings=(
            *models.warnings,
            *machine_warnings(program),
            *beyond,
            *bad,
            *accuracy_warnings(comparison.accuracy, comparison.outputs),
        ),
    )


def audit_optimized(model: Path | ir.Model) -> Audit:
    """The audit of the graph that onnxruntime runs, after its own optimization."""
    with scratch_folder() as folder:
        path = folder / "optimized.onnx"
        open_session(model, threads=1, optimized_path=path)
        return audit(path)
