"""The time of one calibration, interleaved with plain inference of the float model over the same samples.

It is measured in a process of its own, as some of the calibrators take all memory that there is:
python -m benchmarks.calibration_time CALIBRATOR MODEL FLOAT_MODEL SAMPLES.npz COUNT
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import cycle, islice
from pathlib import Path

from benchmarks import our_calibrator, sample_file, their_calibrator
from benchmarks.calibrators import OURS
from benchmarks.cases import FeedSource
from benchmarks.limited import run as run_limited
from benchmarks.pacing import ZERO, Clocks, Pacer, run
from qconv.data.source import Sample
from qconv.model.session import open_session

_WARM_UP = 2  # samples


@dataclass(frozen=True)
class CalibrationTime:
    """Seconds: of loading, preparing and opening, of the pass over the samples with all that follows it, and by method of
    choosing ranges after the pass; `plain` and `plain_opening` are those of inference over the same samples.
    """

    opening: Clocks
    passing: Clocks
    plain_opening: Clocks
    plain: Clocks
    choosing: Mapping[str, Clocks] = field(default_factory=dict)

    def bare(self, method: str | None = None) -> Clocks:
        """In units of plain inference, without opening on either side; `method` adds what it takes to choose."""
        return (self.passing + self._choosing(method)) / self.plain

    def whole(self, method: str | None = None) -> Clocks:
        """The same with opening on both sides."""
        return (self.opening + self.passing + self._choosing(method)) / (self.plain_opening + self.plain)

    def _choosing(self, method: str | None) -> Clocks:
        return ZERO if method is None else self.choosing[method]


def measure(calibrator: str, model: Path, float_model: Path, samples: Path, count: int) -> CalibrationTime:
    """Of `count` samples, repeated from a file. Raises FigureError."""
    text = run_limited("benchmarks.calibration_time", (calibrator, model, float_model, samples, str(count)))
    data = json.loads(text)
    choosing = {method: Clocks(**clocks) for method, clocks in data.pop("choosing").items()}
    return CalibrationTime(**{name: Clocks(**clocks) for name, clocks in data.items()}, choosing=choosing)


@dataclass(frozen=True, kw_only=True)
class _PacedSource(FeedSource):
    """Tells when the first sample is asked for."""

    ready: Callable[[], None]

    def __iter__(self) -> Iterator[Sample]:
        self.ready()
        return super().__iter__()


def _calibrate(calibrator: str, model: Path, pacer: Pacer) -> CalibrationTime:
    choosing = {}
    if calibrator == OURS:
        source = _PacedSource(pacer.feeds, ready=pacer.ready)
        made = our_calibrator.summarize(model, source, lambda done, total: pacer.sample_done())
        passing = pacer.finish()
        choosing = our_calibrator.choose(*made)
    else:
        with tempfile.TemporaryDirectory(prefix="qconv-bench-") as folder:
            their_calibrator.calibrate(calibrator, model, pacer.paced(), Path(folder))
        passing = pacer.finish()
    return CalibrationTime(pacer.opening, passing, ZERO, pacer.plain, choosing)


def main(arguments: Sequence[str]) -> None:
    """Calibrates and prints the times."""
    calibrator, model, float_model, samples, count = arguments
    distinct = list(sample_file.read(Path(samples)))
    feeds = list(islice(cycle(distinct), int(count)))
    open_session(float_model, threads=1)  # the first of a process loads more than a model
    start = Clocks.now()
    session = open_session(float_model, threads=1)
    plain_opening = Clocks.now() - start
    run(session, feeds[:_WARM_UP])
    found = _calibrate(calibrator, Path(model), Pacer(session, feeds))
    print(json.dumps(asdict(replace(found, plain_opening=plain_opening))))


if __name__ == "__main__":
    main(sys.argv[1:])
