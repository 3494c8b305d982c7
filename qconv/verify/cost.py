"""What both files cost: their size, and the time of a run on one thread."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from qconv.integer.program import Program
from qconv.verify.metrics import Array
from qconv.verify.sides import Side

_ROUNDS = 200  # at most
_WARM = 3
_BUDGET = 2.0  # seconds for both models, after at least _FEWEST rounds
_FEWEST = 5


@dataclass(frozen=True)
class Cost:
    """Bytes on disk, with external data; the median time of a run in milliseconds over `runs` runs, one thread."""

    float_bytes: int
    integer_bytes: int
    float_ms: float
    integer_ms: float
    runs: int


def measure(
    float_path: Path,
    integer_path: Path,
    program: Program,
    sample: Mapping[str, Array],
    budget: float = _BUDGET,
    fixed: Mapping[str, Array] = {},
) -> Cost:
    """Runs both models in turn on one sample, so that whatever else the machine does weighs on both alike."""
    sides = Side(float_path, threads=1, fixed=fixed), Side(integer_path, program, threads=1)
    feeds = [side.feeds(sample) for side in sides]
    times: tuple[list[float], list[float]] = ([], [])
    started = time.perf_counter()
    for turn in range(_WARM + _ROUNDS):
        for side, feed, found in zip(sides, feeds, times, strict=True):
            start = time.perf_counter()
            side.run_raw(feed)
            if turn >= _WARM:
                found.append(time.perf_counter() - start)
        if len(times[0]) >= _FEWEST and time.perf_counter() - started > budget:
            break
    float_ms, integer_ms = (1000.0 * statistics.median(found) for found in times)
    return Cost(file_bytes(float_path), file_bytes(integer_path), float_ms, integer_ms, len(times[0]))


def file_bytes(path: Path) -> int:
    """The size of a model: its file and the files beside it that hold its external data, each once."""
    model = ir.load(path)
    files = {path.resolve()}
    for value in model.graph.initializers.values():
        if isinstance(value.const_value, ir.ExternalTensor):
            files.add(Path(value.const_value.path).resolve())
    return sum(file.stat().st_size for file in files if file.exists())
