"""Time of a run on one thread: all models in turn, so that what else the machine does weighs on each alike.

It is processor time: a session of one thread computes in the thread that calls it, and its time there, unlike that of the clock
on the wall, does not count what other programs have of the core.

A round runs every model for at least a few milliseconds, one after the other, and gives the ratios of its times; the figure
is the median over the rounds. Sessions are opened anew several times, because where their buffers come to lie in memory moves
the time of a small network by some per cent.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import onnxruntime as ort

from benchmarks.feeds import Feeds
from qconv.model.session import open_session

SLICE = 0.003  # seconds that a model runs within a round, at least
OPENINGS = 4
FEWEST_ROUNDS = 5  # per opening


@dataclass(frozen=True)
class Latency:
    """The time of a run in seconds by model, a median; and the times of each round, in the same order for all models."""

    rounds: Mapping[str, tuple[float, ...]]

    def seconds(self, model: str) -> float:
        """The median time of a run."""
        return statistics.median(self.rounds[model])

    def ratio(self, model: str, other: str) -> float:
        """The median of the ratios within a round."""
        return statistics.median(a / b for a, b in zip(self.rounds[model], self.rounds[other], strict=True))


def measure(models: Mapping[str, Path], feed: Feeds, budget: float) -> Latency:
    """Runs all models in turn on one sample, for about `budget` seconds in all."""
    rounds: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(OPENINGS):
        sessions = {name: open_session(path, threads=1) for name, path in models.items()}
        runs = {name: _runs_per_slice(session, feed) for name, session in sessions.items()}
        _rounds(sessions, runs, feed, budget / OPENINGS, rounds)
    return Latency({name: tuple(times) for name, times in rounds.items()})


def _rounds(
    sessions: Mapping[str, ort.InferenceSession],
    runs: Mapping[str, int],
    feed: Feeds,
    budget: float,
    times: Mapping[str, list[float]],
) -> None:
    gc.collect()
    started, count = time.perf_counter(), 0
    while count < FEWEST_ROUNDS or time.perf_counter() - started < budget:
        names = list(sessions)[:: 1 if count % 2 else -1]  # each model is as often first as last
        for name in names:
            times[name].append(_time(sessions[name], feed, runs[name]))
        count += 1


def _runs_per_slice(session: ort.InferenceSession, feed: Feeds) -> int:
    """How many runs fill a slice; the first run, which allocates, is not counted."""
    session.run(None, feed)
    return max(1, round(SLICE / min(_time(session, feed, 1) for _ in range(3))))


def _time(session: ort.InferenceSession, feed: Feeds, runs: int) -> float:
    start = time.thread_time()
    for _ in range(runs):
        session.run(None, feed)
    return (time.thread_time() - start) / runs
