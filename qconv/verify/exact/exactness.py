"""onnxruntime against the executor in exact integer arithmetic, over a few samples, on every element of every tensor."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import onnx_ir as ir

from qconv.data.source import Sample
from qconv.errors import ModelError
from qconv.integer.execution.compare import Judge, Mismatch
from qconv.integer.program import Program
from qconv.verify.measure.sides import Side

_FEWEST = 2  # samples, however much work they are


@dataclass(frozen=True)
class Exactness:
    """What differed, in the order of the graph: the first is where it starts. `problem` says why there is no comparison."""

    samples: int
    tensors: int
    mismatches: tuple[Mismatch, ...]
    problem: str | None = None

    @property
    def equal(self) -> bool:
        """Whether everything was compared and nothing differed."""
        return self.problem is None and not self.mismatches

    @property
    def reasons(self) -> tuple[str, ...]:
        """A sentence why verification fails; none where everything is equal."""
        if self.problem is not None:
            return (f"onnxruntime could not be compared with exact integer arithmetic: {self.problem}",)
        if not self.mismatches:
            return ()
        first = self.mismatches[0]
        return (
            f"onnxruntime differs from exact integer arithmetic in {len(self.mismatches)} of {self.tensors} tensors, "
            f"first in {first.tensor} of node {first.node}",
        )


def exactness(integer: ir.Model, program: Program, side: Side, samples: Iterable[Sample], budget: int = 0) -> Exactness:
    """Compares all tensors that both compute; differing elements are added up over the samples.

    Two samples are compared, and more of `samples` while the work stays within `budget` elements (integer/execution/work.py),
    so that the figures are the same on any machine.
    """
    found: dict[str, Mismatch] = {}
    count = 0
    try:
        judge = Judge(integer, program)
        spent = 0
        for sample in samples:
            if count >= _FEWEST and spent + judge.work > budget:
                break
            for mismatch in judge.mismatches(side.feeds(sample.feeds)):
                found[mismatch.tensor] = _sum(found.get(mismatch.tensor), mismatch)
            count, spent = count + 1, spent + judge.work
    except ModelError as error:
        return Exactness(count, 0, (), str(error))
    return Exactness(count, len(judge.compared), tuple(found.values()))


def _sum(old: Mismatch | None, new: Mismatch) -> Mismatch:
    if old is None:
        return new
    largest = max(old.max_difference, new.max_difference)
    return Mismatch(new.tensor, new.node, old.differing + new.differing, old.total + new.total, largest)
