"""What is said about the samples of a calibration: before it, as they pass, and once all have passed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import onnx_ir as ir

from qconv.data.checks.check import Check
from qconv.data.checks.constant import Constant
from qconv.data.checks.few import Few
from qconv.data.checks.identical import Identical
from qconv.data.checks.watched import Watched
from qconv.data.limited import Limited
from qconv.data.source import InputInfo, SampleSource
from qconv.data_free.scale_check import Scale
from qconv.pipeline.prepared import PreparedModel
from qconv.pipeline.samples import synthetic

Warn = Callable[[str], None]


def all_checks(front: ir.Model | None, inputs: Sequence[InputInfo], *, part: bool = False) -> tuple[Check, ...]:
    """Every check of samples for a model with these inputs; a `part` of them may well be small.

    `front` is its `affine_front` before preparation, which folds batch norms away.
    """
    few = () if part else (Few(),)
    scale = () if front is None else (Scale(front, inputs),)
    return *few, Constant(), Identical(), *scale


def checks_for(model: PreparedModel, source: SampleSource, *, part: bool = False) -> tuple[Check, ...]:
    """The checks that suit real samples."""
    return all_checks(model.front, model.inputs, part=part) if synthetic(source) is None else ()


def check_samples(model: PreparedModel, source: SampleSource, count: int) -> list[str]:
    """What the checks of the data find in the first `count` samples, without running the model."""
    watched = Watched(Limited(source, count), checks_for(model, source))
    for _ in watched:
        pass
    return watched.findings()
