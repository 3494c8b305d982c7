"""The figures of calibration as Markdown, each of ours held against its bounds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.calibration_figures import FEW, MANY, REPEATED_SECONDS, Peak, Rounds, Row
from benchmarks.calibrators import OURS, PLAIN, THEIRS
from benchmarks.limited import GIGABYTES, SECONDS
from benchmarks.page import line, machine

MOST_TIME = 2.2  # plain inferences
MOST_MEMORY, MOST_MORE_MB = 1.5, 100.0  # times the peak of plain inference, and on top of that
MOST_GROWTH = 0.05  # from FEW to MANY samples
COLUMNS = (
    "network",
    "calibration",
    "samples",
    "processor time",
    "wall time",
    "choosing, ms",
    f"MB, {FEW} samples",
    "MB / plain",
    f"MB, {MANY} samples",
    "within the bounds",
)


def markdown(rows: Sequence[Row], rounds: int) -> str:
    """The table, its legend, and what could not be measured."""
    lines = [line(COLUMNS), line(("---", "---", *["---:"] * (len(COLUMNS) - 3), "---"))]
    lines += [line(cells) for row in rows for cells in _rows(row)]
    notes = [note for row in rows for note in _notes(row)]
    return "\n".join([*lines, "", _legend(rounds), f"- Machine: {machine()}.", *notes]) + "\n"


def _legend(rounds: int) -> str:
    return f"""\
- Times: in units of plain inference of the float model over the same samples, on one thread, interleaved with it; in brackets
  with loading, preparing and opening, on both sides. Medians over the rounds ({rounds}); what takes over {REPEATED_SECONDS:g} s
  is measured once. Processor time counts the thread that hands over samples, which runs beside; wall time holds only where
  nothing else runs.
- Ours: one pass serves all methods; the time of a method is that of the pass and of choosing the ranges of all tensors, which
  does not depend on the number of samples ("choosing": processor time, the least of the rounds).
- Theirs: onnxruntime.quantization's calibrators as quantize_static sets them up, but on one thread; quant_pre_process not
  counted. Ended at {GIGABYTES} GB and at {SECONDS / 60:g} min, and then timed on half as many samples.
- MB: peak memory of a process that does nothing else and reads its samples from disk, all of Python included.
- Bounds of ours: both processor and wall time at most {MOST_TIME}; memory at most {MOST_MEMORY} times that of plain inference
  and {MOST_MORE_MB:g} MB, and the same for {FEW} and {MANY} samples within {MOST_GROWTH:.0%}."""


def _rows(row: Row) -> Iterator[Sequence[str]]:
    plain, rounds = row.peaks[PLAIN], row.rounds
    yield row.name, PLAIN, str(rounds[OURS].samples), "1", "1", "", _peak(row.peaks[PLAIN]), "1", "", ""
    ours = rounds[OURS]
    memory = (*_relative(row.peaks[OURS], plain), _grown(row), _memory_verdict(row))
    yield "", f"{OURS}, the pass", *_times(ours), "", *memory
    for method in ours.times[0].choosing if ours.times else ():
        yield "", f"{OURS}, {method}", *_times(ours, method), _choosing(ours, method), "", "", "", _time_verdict(ours, method)
    for calibrator in THEIRS:
        yield "", f"theirs, {calibrator}", *_times(rounds[calibrator]), "", *_relative(row.peaks[calibrator], plain), "", ""


def _times(rounds: Rounds, method: str | None = None) -> tuple[str, str, str]:
    if not rounds.times:
        return "-", "-", "-"
    bare, whole = rounds.bare(method), rounds.whole(method)
    times = ((bare.processor, whole.processor), (bare.wall, whole.wall))
    processor, wall = (f"{one:.2f} ({other:.2f})" for one, other in times)
    return str(rounds.samples), processor, wall


def _choosing(rounds: Rounds, method: str) -> str:
    return f"{1e3 * min(time.choosing[method].processor for time in rounds.times):.1f}"


def _time_verdict(rounds: Rounds, method: str) -> str:
    bare, whole = (_yes(max(times.processor, times.wall) <= MOST_TIME) for times in (rounds.bare(method), rounds.whole(method)))
    return f"time: {bare}; with opening: {whole}"


def _memory_verdict(row: Row) -> str:
    plain, few, many = row.peaks[PLAIN], row.peaks[OURS], row.many
    if not isinstance(plain, float) or not isinstance(few, float) or not isinstance(many, float):
        return "memory: not measured"
    bound = MOST_MEMORY * plain + MOST_MORE_MB
    return f"memory: {_yes(few <= bound)}, {bound:.0f} MB; growth: {_yes(abs(many / few - 1) <= MOST_GROWTH)}"


def _yes(holds: bool) -> str:
    return "yes" if holds else "**no**"


def _peak(peak: Peak) -> str:
    return "-" if peak is None else peak if isinstance(peak, str) else f"{peak:.0f}"


def _relative(peak: Peak, plain: Peak) -> tuple[str, str]:
    return _peak(peak), f"{peak / plain:.2f}" if isinstance(peak, float) and isinstance(plain, float) else "-"


def _grown(row: Row) -> str:
    few, many = row.peaks[OURS], row.many
    growth = f" ({many / few - 1:+.1%})" if isinstance(few, float) and isinstance(many, float) else ""
    return _peak(many) + growth


def _notes(row: Row) -> Iterator[str]:
    if row.distinct < row.rounds[OURS].samples:
        yield f"- {row.name}: {row.distinct} samples, over and over."
    for calibrator, rounds in row.rounds.items():
        for reason in dict.fromkeys(rounds.stopped.values()):
            counts = ", ".join(str(count) for count, found in rounds.stopped.items() if found == reason)
            yield f"- {row.name}, {calibrator}, no time over {counts} samples: {reason}."
