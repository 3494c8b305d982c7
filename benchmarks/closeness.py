"""How close a quantized model is to the float model over samples, and whether onnxruntime computes it exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.feeds import Array, Feeds
from qconv.integer.execution.compare import Judge
from qconv.model.load import load
from qconv.model.session import open_session
from qconv.verify.measure.metrics import SimilarityMeter

EXACT_SAMPLES = 10


@dataclass(frozen=True)
class Closeness:
    """SQNR in dB of all outputs together (their signals and errors added up), and of each."""

    total: float
    outputs: Mapping[str, float]


@dataclass(frozen=True)
class Exactness:
    """Elements compared between onnxruntime and the executor, those that differ, and the tensors in which they do."""

    compared: int
    differing: int
    tensors: int
    wrong: Mapping[str, int]


def run_all(model: Path, feeds: Sequence[Feeds]) -> list[dict[str, Array]]:
    """The outputs by name, for every sample."""
    session = open_session(model, threads=1)
    names = [output.name for output in session.get_outputs()]
    return [dict(zip(names, session.run(names, feed), strict=True)) for feed in feeds]


def closeness(reference: Sequence[Mapping[str, Array]], model: Path, feeds: Sequence[Feeds]) -> Closeness:
    """The outputs of `model` against those of the float model over the same feeds."""
    total, meters = SimilarityMeter(), {name: SimilarityMeter() for name in reference[0]}
    for wanted, found in zip(reference, run_all(model, feeds), strict=True):
        for name, meter in meters.items():
            meter.add(wanted[name], found[name])
            total.add(wanted[name], found[name])
    return Closeness(total.result().sqnr_db, {name: meter.result().sqnr_db for name, meter in meters.items()})


def exactness(model: Path, feeds: Sequence[Feeds]) -> Exactness:
    """All tensors over the first samples: onnxruntime, with all of them exposed and as deployed, against the executor."""
    graph = load(model).ir
    judge = Judge(graph)
    sizes = open_session(graph, outputs=judge.compared, threads=1)
    compared, wrong = 0, dict[str, int]()
    for feed in feeds[:EXACT_SAMPLES]:
        for mismatch in judge.mismatches(feed):
            wrong[mismatch.tensor] = wrong.get(mismatch.tensor, 0) + mismatch.differing
        compared += sum(np.size(array) for array in sizes.run(None, feed))
    return Exactness(compared, sum(wrong.values()), len(judge.compared), wrong)
