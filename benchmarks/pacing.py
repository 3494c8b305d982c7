"""The time of a calibration against plain inference of the float model over the same samples, interleaved on one thread.

After each chunk of samples that a calibration has taken, its clocks are stopped and the float model runs the same samples.
There are two clocks, and neither is enough. Processor time counts the thread that reads samples ahead in full, though it runs
beside the network where a core is free; other programs do not weigh on it. Wall time is what a user waits for, and means
something only on a machine that does nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import onnxruntime as ort

from benchmarks.feeds import Feeds

CHUNKS = 10  # of a pass


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


ZERO = Clocks(0.0, 0.0)


@dataclass
class Pacer:
    """Follows one calibration over `feeds`, from when the pacer is made until `finish`."""

    session: ort.InferenceSession  # of the float model, warm
    feeds: Sequence[Feeds]
    started: Clocks = field(default_factory=Clocks.now)
    opening: Clocks = ZERO  # what passed before the first sample was asked for
    plain: Clocks = ZERO  # what the float model had
    done: int = 0
    _compared: int = 0

    def ready(self) -> None:
        """The calibration asks for its first sample."""
        self.opening = Clocks.now() - self.started

    def sample_done(self) -> None:
        """The calibration has run one more sample."""
        self.done += 1
        if self.done - self._compared >= max(1, len(self.feeds) // CHUNKS):
            self._catch_up()

    def finish(self) -> Clocks:
        """What the calibration took by itself since it was ready; nothing of it may come after."""
        spent = Clocks.now() - self.started - self.opening - self.plain
        self._catch_up()
        return spent

    def paced(self) -> Iterator[Feeds]:
        """The feeds, for a calibration that asks for the next one only after the run of the last."""
        self.ready()
        for feed in self.feeds:
            yield feed
            self.sample_done()

    def _catch_up(self) -> None:
        self.plain += run(self.session, self.feeds[self._compared : self.done])
        self._compared = self.done


def run(session: ort.InferenceSession, feeds: Sequence[Feeds]) -> Clocks:
    """The time of inference over the feeds."""
    start = Clocks.now()
    for feed in feeds:
        session.run(None, feed)
    return Clocks.now() - start
