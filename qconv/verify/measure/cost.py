"""What both files cost: their size, and the time of a run on one thread."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from qconv.integer.program import Program
from qconv.verify.measure.faster import Faster
from qconv.verify.measure.metrics import Array
from qconv.verify.measure.sides import Side

_ROUNDS = 200  # at most
_WARM = 3  # rounds at most that are not measured; slow networks need one
_BUDGET = 2.0  # seconds for both models, after at least _FEWEST rounds
_FEWEST = 3
_UNSURE = 0.02  # of a ratio of times
_GLANCE = 0.05  # seconds for both models, where a look is enough
_NOTICED = 1.2  # a ratio that so short a look can tell
_BRIEF_MS = 0.05  # of a run: nodes themselves cost as much in so small a network


@dataclass(frozen=True)
class Cost:
    """Bytes on disk, with external data; the median time of a run in milliseconds over `runs` runs, one thread.

    `faster` is what to try where the integer model is slower.
    """

    float_bytes: int
    integer_bytes: int
    float_ms: float
    integer_ms: float
    runs: int
    faster: Faster | None = None

    @property
    def ratio(self) -> float:
        """The integer model's time in units of the float model's."""
        return self.integer_ms / self.float_ms if self.float_ms else math.nan

    @property
    def slower(self) -> bool:
        """Whether the integer model takes longer, by more than what such a measurement may be off."""
        return self.ratio > 1.0 + _UNSURE

    @property
    def noticed(self) -> bool:
        """Whether even a look tells that the integer model takes longer, of a network that is not small anyway."""
        return self.ratio > _NOTICED and self.float_ms > _BRIEF_MS


def measure(
    float_path: Path,
    integer_path: Path,
    program: Program,
    sample: Mapping[str, Array],
    budget: float = _BUDGET,
    fixed: Mapping[str, Array] = {},
    sizes: tuple[int, int] = (0, 0),
    fewest: int = _FEWEST,
) -> Cost:
    """Runs both models in turn on one sample, so that whatever else the machine does weighs on both alike; `sizes` in bytes.

    After `budget` seconds it ends, but not before `fewest` rounds.
    """
    sides = Side(float_path, threads=1, fixed=fixed), Side(integer_path, program, threads=1)
    feeds = [side.feeds(sample) for side in sides]
    times: tuple[list[float], list[float]] = ([], [])
    started = time.perf_counter()
    for turn in range(_WARM + _ROUNDS):
        warm = turn >= _WARM or (turn > 0 and time.perf_counter() - started > budget / 8)
        for side, feed, found in zip(sides, feeds, times, strict=True):
            start = time.perf_counter()
            side.run_raw(feed)
            if warm:
                found.append(time.perf_counter() - start)
        if len(times[0]) >= fewest and time.perf_counter() - started > budget:
            break
    float_ms, integer_ms = (1000.0 * statistics.median(found) for found in times)
    return Cost(*sizes, float_ms, integer_ms, len(times[0]))


def glance(
    float_path: Path, integer_path: Path, program: Program, sample: Mapping[str, Array], fixed: Mapping[str, Array] = {}
) -> Cost:
    """The times of few runs."""
    return measure(float_path, integer_path, program, sample, _GLANCE, fixed, fewest=2)
