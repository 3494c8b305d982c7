"""Which steps of an integer program only onnxruntime computes as it is meant."""

from __future__ import annotations

from collections.abc import Iterator

from qconv.integer.program import Program
from qconv.integer.step import Step


def foreign_to_others(program: Program) -> Iterator[Step]:
    """Steps of other domains than ai.onnx, and quantized operators that have several scales for one tensor."""
    return (step for step in program.all_steps() if step.key[0] or _has_many_scales(step))


def _has_many_scales(step: Step) -> bool:
    return step.rescales and any(read.params is not None and read.params.axis is not None for read in step.reads)
