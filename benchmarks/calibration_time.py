"""The time of calibration against plain inference of the float model over the same samples, one thread each, interleaved.

After each chunk of samples that a calibration has taken, its clocks are stopped and the float model runs the same samples.
There are two clocks, and neither is enough. Processor time counts the thread that reads samples ahead in full, though it runs
beside the network where a core is free; other programs do not weigh on it. Wall time is what a user waits for, and means
something only on a machine that does nothing else.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path

import onnxruntime as ort

from benchmarks import their_calibrator
from benchmarks.cases import Case, FeedSource
from benchmarks.feeds import Feeds
from qconv import pipeline
from qconv.model.session import open_session

CHUNK_SECONDS = 0.005  # of float inference, at least
CHUNK_SAMPLES = 10  # at least: the first sample of a chunk finds the other model's data in the caches
CHUNKS = 10  # per pass, at least
MOST_PASSES = 10


@dataclass(frozen=True)
class Clocks:
    """Processor and wall time, in seconds, or in units of another time."""

    processor: float
    wall: float

    @classmethod
    def now(cls) -> Clocks:
        """Both clocks, of which only differences mean something."""
        return cls(time.process_time(), time.perf_counter())

    def __add__(self, other: Clocks) -> Clocks:
        return Clocks(self.processor + other.processor, self.wall + other.wall)

    def __sub__(self, other: Clocks) -> Clocks:
        return Clocks(self.processor - other.processor, self.wall - other.wall)

    def __truediv__(self, other: Clocks) -> Clocks:
        return Clocks(self.processor / other.processor, self.wall / other.wall)


@dataclass(frozen=True)
class CalibrationTime:
    """In units of the time of float inference.

    `per_sample` and `theirs_per_sample` are medians over chunks of samples; `whole` is everything over `samples` samples,
    loading, preparing and opening sessions included on both sides.
    """

    per_sample: Clocks
    whole: Clocks
    samples: int
    theirs_per_sample: Clocks


@dataclass
class _Pacer:
    """Counts the samples of a calibration and runs the float model on those of every chunk, with the clocks kept apart."""

    session: ort.InferenceSession
    feeds: Sequence[Feeds]
    chunk: int
    started: Clocks = field(default_factory=Clocks.now)
    done: int = 0
    resumed: Clocks = Clocks(0.0, 0.0)
    paused: Clocks = Clocks(0.0, 0.0)  # what the float model had
    ratios: list[Clocks] = field(default_factory=list)

    def sample_done(self) -> None:
        self.done += 1
        if self.done % self.chunk:
            return
        own = Clocks.now() - self.resumed
        plain = _run(self.session, self.feeds[self.done - self.chunk : self.done])
        if self.done > self.chunk:  # the first chunk has the setting up
            self.ratios.append(own / plain)
        self.paused += plain
        self.resumed = Clocks.now()

    def spent(self) -> Clocks:
        """By the calibration alone, from the beginning until now."""
        return Clocks.now() - self.started - self.paused


def measure(case: Case, preprocessed: Path, budget: float) -> CalibrationTime:
    """Passes of both calibrators in turn, for about `budget` seconds; `preprocessed` is the model that theirs takes."""
    session, chunk = _float_session(case)
    feeds = list(islice(cycle(case.calibration), max(CHUNKS * chunk, len(case.calibration) // chunk * chunk)))
    ours: list[Clocks] = []
    theirs: list[Clocks] = []
    whole: list[Clocks] = []
    started = time.perf_counter()
    while len(whole) < 2 or (time.perf_counter() - started < budget and len(whole) < MOST_PASSES):
        pacer = _Pacer(session, feeds, chunk)
        _calibrate_ours(case, feeds, pacer)
        whole.append(pacer.spent() / (_opening(case.path) + pacer.paused))
        ours += pacer.ratios
        pacer = _Pacer(session, feeds, chunk)
        _calibrate_theirs(preprocessed, feeds, pacer)
        theirs += pacer.ratios
    return CalibrationTime(_median(ours), _median(whole), len(feeds), _median(theirs))


def _float_session(case: Case) -> tuple[ort.InferenceSession, int]:
    """A warm session of the float model, and the samples of a chunk."""
    session = open_session(case.path, threads=1)
    _run(session, case.calibration[:2])
    seconds = min(_run(session, case.calibration[:1]).processor for _ in range(3))
    return session, max(CHUNK_SAMPLES, round(CHUNK_SECONDS / seconds))


def _run(session: ort.InferenceSession, feeds: Sequence[Feeds]) -> Clocks:
    start = Clocks.now()
    for feed in feeds:
        session.run(None, feed)
    return Clocks.now() - start


def _opening(path: Path) -> Clocks:
    start = Clocks.now()
    open_session(path, threads=1)
    return Clocks.now() - start


def _median(ratios: Sequence[Clocks]) -> Clocks:
    return Clocks(statistics.median(r.processor for r in ratios), statistics.median(r.wall for r in ratios))


def _calibrate_ours(case: Case, feeds: Sequence[Feeds], pacer: _Pacer) -> None:
    pipeline.calibrate(case.path, FeedSource(feeds), threads=1, progress=lambda done, total: pacer.sample_done())


def _calibrate_theirs(preprocessed: Path, feeds: Sequence[Feeds], pacer: _Pacer) -> None:
    with tempfile.TemporaryDirectory(prefix="qconv-bench-") as folder:
        their_calibrator.calibrate(preprocessed, _paced(feeds, pacer.sample_done), Path(folder))


def _paced(feeds: Sequence[Feeds], done: Callable[[], None]) -> Iterator[Feeds]:
    """The feeds; `done` is called when the next one is asked for, that is after the run of the last."""
    for feed in feeds:
        yield feed
        done()
