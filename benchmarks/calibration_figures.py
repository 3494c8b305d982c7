"""Time and memory of all calibrators on one network, each figure from a process of its own."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import calibration_memory, calibration_time, sample_file, theirs
from benchmarks.calibration_time import CalibrationTime
from benchmarks.calibrators import OURS, PLAIN, THEIRS
from benchmarks.cases import Case
from benchmarks.feeds import Feeds
from benchmarks.limited import FigureError, LimitError
from benchmarks.pacing import CHUNKS, Clocks, run
from qconv.model.session import open_session

FEW, MANY = 100, 1000
REPEATED_SECONDS = 60.0  # what takes longer is measured once
_CHUNK_SECONDS = 0.005  # of plain inference, at least: the first sample finds the other model's data in the caches

Tell = Callable[[str], None]
Peak = float | str | None  # MB, why there is none, or None where the system does not tell


@dataclass
class Rounds:
    """The times of one calibrator over `samples`, and why they are not more: by number of samples, what stopped it."""

    samples: int
    times: list[CalibrationTime] = field(default_factory=list)
    stopped: dict[int, str] = field(default_factory=dict)
    seconds: float = 0.0  # of all rounds together

    def bare(self, method: str | None = None) -> Clocks:
        """Median over the rounds of CalibrationTime.bare."""
        return _median([time.bare(method) for time in self.times])

    def whole(self, method: str | None = None) -> Clocks:
        """Median over the rounds of CalibrationTime.whole."""
        return _median([time.whole(method) for time in self.times])


@dataclass(frozen=True)
class Row:
    """The figures of a network, by calibrator; `many` is the peak of ours with MANY samples."""

    name: str
    distinct: int
    rounds: Mapping[str, Rounds]
    peaks: Mapping[str, Peak]
    many: Peak


def measure(case: Case, rounds: int, tell: Tell) -> Row:
    """Takes the calibrators in turn, `rounds` times; `tell` is given each stage."""
    with tempfile.TemporaryDirectory(prefix="qconv-bench-") as name, theirs.quiet():
        folder = Path(name)
        preprocessed, _ = theirs.preprocess(case.path, folder / "preprocessed.onnx")
        models = {PLAIN: case.path, OURS: case.path, **dict.fromkeys(THEIRS, preprocessed)}
        times = _times(case, models, folder, rounds, tell)
        tell(f"memory, {FEW} samples")
        peaks = _peaks(case.calibration, models, folder / "samples.npz", FEW)
        tell(f"{MANY} samples")
        many = _peaks(case.calibration, {OURS: case.path}, folder / "samples.npz", MANY)[OURS]
    return Row(case.name, len(case.calibration), times, peaks, many)


def _times(case: Case, models: Mapping[str, Path], folder: Path, rounds: int, tell: Tell) -> dict[str, Rounds]:
    samples, count = folder / "distinct.npz", _count(case)
    sample_file.write(samples, case.calibration, len(case.calibration))
    found = {calibrator: Rounds(count) for calibrator in (OURS, *THEIRS)}
    for number in range(rounds):
        for calibrator, known in found.items():
            if number == 0 or (known.times and known.seconds < number * REPEATED_SECONDS):
                tell(calibrator)
                _one_more(known, calibrator, models, samples)
    return found


def _one_more(known: Rounds, calibrator: str, models: Mapping[str, Path], samples: Path) -> None:
    """One more round; half as many samples where a limit stops it."""
    start = Clocks.now()
    while known.samples:
        try:
            known.times.append(calibration_time.measure(calibrator, models[calibrator], models[PLAIN], samples, known.samples))
            break
        except FigureError as error:
            known.stopped[known.samples] = str(error)
            if known.times or not isinstance(error, LimitError):
                break
            known.samples //= 2
    known.seconds += (Clocks.now() - start).wall


def _count(case: Case) -> int:
    """FEW samples, or more of a network so fast that a chunk of them is over too soon."""
    session = open_session(case.path, threads=1)
    run(session, case.calibration[:2])
    seconds = min(run(session, case.calibration[:1]).processor for _ in range(3))
    return max(FEW, CHUNKS * round(_CHUNK_SECONDS / seconds))


def _peaks(feeds: Sequence[Feeds], models: Mapping[str, Path], file: Path, count: int) -> dict[str, Peak]:
    sample_file.write(file, feeds, count)
    found: dict[str, Peak] = {}
    for calibrator, model in models.items():
        try:
            found[calibrator] = calibration_memory.measure(calibrator, model, file)
        except FigureError as error:
            found[calibrator] = str(error)
    return found


def _median(ratios: Sequence[Clocks]) -> Clocks:
    return Clocks(statistics.median(r.processor for r in ratios), statistics.median(r.wall for r in ratios))
