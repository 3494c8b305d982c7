"""onnxruntime against the executor in exact integer arithmetic, over a few samples, on every element of every tensor."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import onnx_ir as ir

from qconv.data.source import Sample
from qconv.errors import ModelError
from qconv.integer.execution.compare import Judge, Mismatch
from qconv.verify.sides import Side


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


def exactness(integer: ir.Model, side: Side, samples: Iterable[Sample]) -> Exactness:
    """Compares all tensors that both compute; differing elements are added up over the samples."""
    found: dict[str, Mismatch] = {}
    count = 0
    try:
        judge = Judge(integer)
        for sample in samples:
            for mismatch in judge.mismatches(side.feeds(sample.feeds)):
                found[mismatch.tensor] = _sum(found.get(mismatch.tensor), mismatch)
            count += 1
    except ModelError as error:
        return Exactness(count, 0, (), str(error))
    return Exactness(count, len(judge.compared), tuple(found.values()))


def _sum(old: Mismatch | None, new: Mismatch) -> Mismatch:
    if old is None:
        return new
    largest = max(old.max_difference, new.max_difference)
    return Mismatch(new.tensor, new.node, old.differing + new.differing, old.total + new.total, largest)
