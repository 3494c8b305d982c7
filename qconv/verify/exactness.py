"""onnxruntime against the executor in exact integer arithmetic, over a few samples, on every element of every tensor."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import onnx_ir as ir

from qconv.data.source import Sample
from qconv.errors import ModelError
from qconv.integer.execution.compare import Judge, Mismatch
from qconv.verify.sides import Side

_FEWEST = 2  # samples, however long they take


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


def exactness(integer: ir.Model, side: Side, samples: Iterable[Sample], seconds: float = 0.0) -> Exactness:
    """Compares all tensors that both compute; differing elements are added up over the samples.

    Two samples are compared, and as many more of `samples` as the time of the first promises to take within `seconds`.
    """
    found: dict[str, Mismatch] = {}
    count = 0
    try:
        judge = Judge(integer)
        for sample in _affordable(samples, seconds):
            for mismatch in judge.mismatches(side.feeds(sample.feeds)):
                found[mismatch.tensor] = _sum(found.get(mismatch.tensor), mismatch)
            count += 1
    except ModelError as error:
        return Exactness(count, 0, (), str(error))
    return Exactness(count, len(judge.compared), tuple(found.values()))


def _affordable(samples: Iterable[Sample], seconds: float) -> Iterator[Sample]:
    """The first samples, as many as the time that passes until the second is asked for allows."""
    left = iter(samples)
    started = time.perf_counter()
    yield from islice(left, 1)
    elapsed = time.perf_counter() - started
    yield from islice(left, max(_FEWEST, int(seconds / max(elapsed, 1e-6))) - 1)


def _sum(old: Mismatch | None, new: Mismatch) -> Mismatch:
    if old is None:
        return new
    largest = max(old.max_difference, new.max_difference)
    return Mismatch(new.tensor, new.node, old.differing + new.differing, old.total + new.total, largest)
