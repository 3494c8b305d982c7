"""The integer model against its float model: in full, or a glance."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir

from qconv.arguments import checks_arguments
from qconv.data.image_options import ImageOptions
from qconv.data.limited import Limited
from qconv.data.source import SampleSource
from qconv.errors import ModelError
from qconv.integer.metadata import read_origin
from qconv.integer.multiplier_table import stale_table
from qconv.integer.program import Program
from qconv.model.load import LoadedModel, load
from qconv.model.near_paths import path_hint
from qconv.model.save import file_bytes, files_of
from qconv.pipeline.made import pins_of
from qconv.pipeline.prepared import AnyModel, PreparedModel, load_prepared
from qconv.pipeline.quantize import Quantized
from qconv.pipeline.recall import calibration_beside, recalled_images
from qconv.pipeline.samples import Data, samples_for, samples_of, synthetic
from qconv.prepare import prepare
from qconv.statistics.observe import Progress
from qconv.statistics.setup import Setup
from qconv.verify import Effort, Models, Report, Thresholds
from qconv.verify import verify as compare_models
from qconv.verify.layers.reports import layer_reports
from qconv.verify.measure.compare import compare
from qconv.verify.measure.cost import Cost, glance
from qconv.verify.measure.faster import faster_way
from qconv.verify.measure.parts import output_parts
from qconv.verify.measure.sides import Side
from qconv.verify.report.shout import Culprit, accuracy_warnings, first_loss, output_warnings, random_source

QUICK_SAMPLES = 32
_GOOD_DB = 30.0  # noise of 3 % of what an output varies by


@checks_arguments
def verify(
    model: AnyModel, quantized: str | Path | Quantized, data: Data | None = None, *,
    labels: str | Path | Iterable[Any] | None = None, samples: int | None = None, images: ImageOptions = ImageOptions(),
    thresholds: Thresholds = Thresholds(), effort: Effort = Effort(), threads: int = 0, progress: Progress | None = None,
) -> Report:  # fmt: skip
    """Compares an integer model with its float model over samples; `report.verdict` says whether `thresholds` are met.

    A `quantized` model that is not saved yet is written to a folder that goes when all is measured.
    `images` default to what the calibration beside the model was made with, and inputs that the integer model has as constants
    are pinned. Raises ModelError, DataError or UsageError.
    """
    if isinstance(quantized, Quantized):
        with tempfile.TemporaryDirectory(prefix="qconv-model-") as folder:
            path = Path(folder) / "model.int8.onnx"
            quantized.save(path)
            return verify(
                model, path, data, labels=labels, samples=samples, images=images, thresholds=thresholds, effort=effort,
                threads=threads, progress=progress,
            )  # fmt: skip
    if not Path(quantized).exists():
        load_prepared(model)  # what is wrong with it comes first
        name = "MODEL" if isinstance(model, onnx.ModelProto) else model
        hint = path_hint(quantized, f"make it with `qconv quantize {name}`, or check the path")
        raise ModelError(f"there is no integer model {quantized}; {hint}")
    integer = load(quantized)
    prepared = load_prepared(model, pins_of(integer.ir))
    source = _source(prepared, data, images, labels, samples)
    warnings = (stale_table(integer.path, integer.digest), other := _other_model(prepared, integer))
    if other is not None:  # tensors of one name need not be the same
        effort = replace(effort, layer_samples=0)
    opened = ((prepared.path, prepared.original), (integer.path, integer.ir))
    before, after = (file_bytes(files_of(*model)) for model in opened)
    told = tuple(warning for warning in warnings if warning is not None)
    models = Models(prepared.path, prepared.ir, integer.path, integer.ir, told, prepared.fixed, (before, after))
    return compare_models(models, source, thresholds=thresholds, effort=effort, threads=threads, progress=progress)


def _other_model(model: PreparedModel, integer: LoadedModel) -> str | None:
    """A warning where an integer model tells that it was made from another file than the float model."""
    made_from = read_origin(integer.ir).model_sha256
    if not made_from or made_from == model.digest:
        return None
    return (
        f"{integer.path} was made from another float model than {model.path}, as after training, or before that changed, so that "
        "layers are not compared; quantize again unless that is meant"
    )


def _source(
    model: PreparedModel, data: Data | None, images: ImageOptions, labels: str | Path | Iterable[Any] | None, samples: int | None
) -> SampleSource:
    """The samples that are given, or those of the calibration beside the model, or made up."""
    beside = calibration_beside(model)
    if data is None and beside is not None:
        source = samples_of(model, beside, labels=labels)
        return source if samples is None else Limited(source, samples)
    setup = Setup() if beside is None else beside.setup
    return samples_for(model, data, images=recalled_images(images, setup), labels=labels, samples=samples)


@dataclass(frozen=True)
class QuickCheck:
    """SQNR of every output over the first samples, in dB; infinite where nothing differs. `warnings` should be shown."""

    samples: int
    sqnr_db: Mapping[str, float]
    warnings: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Whether all outputs were measured, and found so near that nothing inside can matter much."""
        return bool(self.sqnr_db) and all(db > _GOOD_DB for db in self.sqnr_db.values())


def quick_check(
    model: PreparedModel,
    quantized: str | Path,
    integer: ir.Model,
    source: SampleSource,
    *,
    samples: int = QUICK_SAMPLES,
    progress: Progress | None = None,
) -> QuickCheck:
    """The outputs of both models over the first `samples`: what `quantize` ends with. `integer` is the graph of `quantized`."""
    program, graph = Program.read(integer), model.original.graph
    integer_side = Side(Path(quantized), program)
    few = Limited(source, samples)
    found = compare(Side(model.path, fixed=model.fixed), integer_side, few, progress, output_parts(graph))
    warnings = accuracy_warnings(found.accuracy, found.outputs)
    if output_warnings(found.outputs, "", lambda tensor: None, made_up=False):
        culprit = _culprit(model, integer, program, integer_side, few)
        made_up = synthetic(source) is not None
        draws = random_source(graph)
        bad = output_warnings(found.outputs, str(model.path), culprit, made_up=made_up, mode=program.origin.mode, draws=draws)
        warnings = (*bad, *warnings)
    return QuickCheck(found.samples, {output.name: output.similarity.sqnr_db for output in found.outputs}, warnings)


def slowdown(model: PreparedModel, quantized: str | Path, integer: ir.Model, source: SampleSource) -> Cost | None:
    """The time of a run of `quantized` beside the float model's, on one thread; None unless a look tells that it is slower."""
    sample = next(iter(Limited(source, 1)), None)
    if sample is None:
        return None
    cost = glance(model.path, Path(quantized), Program.read(integer), sample.feeds, model.fixed)
    return replace(cost, faster=faster_way(model.original.graph)) if cost.noticed else None


def _culprit(model: PreparedModel, integer: ir.Model, program: Program, side: Side, samples: SampleSource) -> Culprit:
    """What names the node that lost a tensor; the layers are run for this only, as they cost more than the whole check."""
    prepared = model.original.clone()
    prepare(prepared, keep_tensors=model.imported is not None)
    effort = Effort()
    few = islice(iter(samples), effort.layer_samples)
    layers = layer_reports(prepared, integer, program, side, few, elements=effort.layer_elements)
    return first_loss(prepared.graph, layers.reports)
