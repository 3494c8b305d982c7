"""The float model in the canonical form that the other stages read, and the proof that it still computes the same."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.config import QuantConfig
from qconv.data.source import InputInfo, Sample, SampleSource, inputs_of
from qconv.data_free.batchnorm_match import affine_front
from qconv.errors import DataError, ModelError
from qconv.import_ import Imported, import_quantized, is_quantized, signs_to_thresholds
from qconv.model.declared import contradicts
from qconv.model.fix_inputs import fix_inputs
from qconv.model.given import given_names
from qconv.model.load import LoadedModel, load
from qconv.model.memory import give_memory_back
from qconv.model.opset import OPSET
from qconv.model.session import open_session, reason
from qconv.model.steps import inputs_of_steps
from qconv.ops.floors import Floors
from qconv.prepare import prepare
from qconv.prepare.inline_branches import inline_branches
from qconv.prepare.selfcheck import largest_relative_difference
from qconv.prepare.simplify import simplify
from qconv.statistics.nonfinite import run

# Preparation reorders float32 sums and multiplies weights ahead of time: 1e-6 to 1e-4 in practice. More than this is a defect.
SELF_CHECK_LIMIT = 1e-2
SELF_CHECK_SAMPLES = 4
AnyModel = str | Path | onnx.ModelProto


@dataclass(frozen=True)
class PreparedModel(LoadedModel):
    """A float model before and after preparation, from one reading of its file: `original` shares its weights with `ir`.

    `fixed` are inputs of the file that are constants in both. `home` is where a model in memory was written to.
    """

    original: ir.Model
    imported: Imported | None = None
    fixed: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    home: tempfile.TemporaryDirectory[str] | None = field(default=None, repr=False)

    def pinned(self, config: QuantConfig) -> QuantConfig:
        """The settings with the parameters that the model brings along; what the settings pin themselves goes before."""
        return config if self.imported is None else replace(config, pins=self.imported.pins.under(config.pins))

    def with_thresholds(self, config: QuantConfig) -> QuantConfig:
        """The settings of `pinned`; signs behind layers of known codes become clamps in `ir`, exact for codes, not for reals."""
        config = self.pinned(config)
        return replace(config, pins=signs_to_thresholds(self.ir.graph, config.pins)) if config.pins else config

    @cached_property
    def with_batchnorms(self) -> ir.Model:
        """The original with its constants computed and its batch norms where they were."""
        model = self.original.clone()
        simplify(model)
        return model

    @cached_property
    def inputs(self) -> tuple[InputInfo, ...]:
        """What samples must fill, in order."""
        masks, steps = Floors.of(self.ir.graph).carriers, inputs_of_steps(self.original.graph)
        return tuple(
            replace(info, masks=info.name in masks, whole=info.name in steps and info.shape[0] is None)
            for info in inputs_of(self.ir)
        )

    @cached_property
    def front(self) -> ir.Model | None:
        """What checks of samples want to know of the original: its affine part before some batch norms."""
        return affine_front(self.original)


def load_prepared(model: AnyModel, fixed: Mapping[str, float] = {}) -> PreparedModel:
    """Loads a model and prepares it; a quantized one becomes float, and its parameters pins.

    `fixed` pins inputs and free sizes. Raises ModelError, and UsageError for pins that there are not.
    """
    home = _written(model) if isinstance(model, onnx.ModelProto) else None
    loaded = load(model if home is None else Path(home.name) / "model.onnx")
    arrays = fix_inputs(loaded.ir, fixed)
    imported = _imported(loaded.ir) if is_quantized(loaded.ir) else None
    original = loaded.ir.clone()
    prepare(loaded.ir, keep_tensors=imported is not None)
    if imported is not None:
        imported = replace(imported, pins=imported.pins.renamed(given_names(loaded.ir.graph)))
    return PreparedModel(loaded.path, loaded.digest, loaded.ir, loaded.declared, original, imported, arrays, home)


def _imported(model: ir.Model) -> Imported:
    """What a quantized model says, that in the branches of an If too where it is clear which of them runs."""
    inline_branches(model)
    return import_quantized(model)


def _written(proto: onnx.ModelProto) -> tempfile.TemporaryDirectory[str]:
    """A folder with a model in memory as a file, which onnxruntime can open."""
    home = tempfile.TemporaryDirectory(prefix="qconv-model-")
    try:
        (Path(home.name) / "model.onnx").write_bytes(proto.SerializeToString(deterministic=True))
    except ValueError as error:
        raise ModelError(
            f"the model is too large for one message ({error}); save it with external data and give its path"
        ) from None
    return home


def prepared(model: AnyModel | PreparedModel, fixed: Mapping[str, float] = {}) -> PreparedModel:
    """Does what `load_prepared` does, unless that was done before."""
    return model if isinstance(model, PreparedModel) else load_prepared(model, fixed)


def self_check(model: PreparedModel, source: SampleSource) -> float:
    """The largest relative difference between the prepared model and its file on a few samples; ModelError past a bound."""
    samples = list(islice(iter(source), SELF_CHECK_SAMPLES))
    _refuse_wrong_declarations(model, samples)
    try:
        before, fixed = (model.path, model.fixed) if model.imported is None else (model.original, {})
        difference = largest_relative_difference(before, model.ir, [sample.feeds for sample in samples], fixed)
    except Exception as error:
        session = open_session(model.path)
        for sample in samples:
            run(
                session, replace(sample, feeds={**sample.feeds, **model.fixed})
            )  # names the sample that the model itself cannot take
        raise ModelError(
            f"{model.path} runs as it is, and not at opset {OPSET} and simplified ({reason(error)}); export it to opset {OPSET}"
        ) from error
    give_memory_back()
    if not difference <= SELF_CHECK_LIMIT:
        _refuse_infinite_outputs(model, samples)
        raise ModelError(
            f"simplifying {model.path} changed its outputs by {difference:.1e} of their size, which is no rounding; "
            "please report the model, and export it with batch norms folded until then"
        )
    return difference


def _refuse_wrong_declarations(model: PreparedModel, samples: Sequence[Sample]) -> None:
    """Raises ModelError for a tensor whose declared shape a sample contradicts."""
    if not model.declared:
        return
    session = open_session(model.path, outputs=list(model.declared))
    for sample in samples:
        found = run(session, replace(sample, feeds={**sample.feeds, **model.fixed}))
        for (name, shape), array in zip(model.declared.items(), found, strict=True):
            if isinstance(array, np.ndarray) and contradicts(shape, array.shape):
                raise ModelError(
                    f"{model.path} declares tensor {name} as {shape}, and for sample {sample.name} it is "
                    f"{ir.Shape(array.shape)}; take that declaration out of the model (del graph.value_info[:] takes all but "
                    "those of outputs), or mend it"
                )


def _refuse_infinite_outputs(model: PreparedModel, samples: Sequence[Sample]) -> None:
    """Raises DataError for a sample of which the float model itself gives no numbers, so that nothing can be compared."""
    session = open_session(model.path)
    names = [output.name for output in session.get_outputs()]
    for sample in samples:
        found = run(session, replace(sample, feeds={**sample.feeds, **model.fixed}))
        for name, array in zip(names, found, strict=True):
            if isinstance(array, np.ndarray) and array.dtype.kind == "f" and not np.isfinite(array).all():
                raise DataError(
                    f"the model's output {name} holds NaN or Inf for sample {sample.name}; remove that sample, or mend the "
                    "model there"
                )
