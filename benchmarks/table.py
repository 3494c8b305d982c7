"""Rows as Markdown: the table, and under it what does not fit into one."""

from __future__ import annotations

import math
import platform
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import onnxruntime as ort

from benchmarks.calibration_memory import FEW, MANY
from benchmarks.closeness import EXACT_SAMPLES, Closeness
from benchmarks.measure import FLOAT, OURS, Row

COLUMNS = (
    "network",
    "float nodes",
    "score float / ours / theirs",
    "SQNR dB ours / theirs",
    "elements differing / compared",
    "time ours/theirs",
    "time ours/float",
    "time theirs/float",
    "size ours/float",
    "calibration, processor time, ours / theirs",
    "calibration, wall time, ours / theirs",
    f"calibration MB, {FEW} and {MANY} samples, ours; theirs",
)
LEGEND = f"""\
- theirs: onnxruntime.quantization, min-max, the best in total SQNR of QDQ and QOperator, per channel and per tensor.
- float nodes: in the graph that onnxruntime runs, between QuantizeLinear of the inputs and DequantizeLinear of the outputs.
- SQNR: of all outputs together, then of each where there are several.
- elements: of all tensors over {EXACT_SAMPLES} samples, onnxruntime against the executor in exact integer arithmetic.
- time: processor time of a run on one thread, all models in turn, medians of ratios; in brackets against the fastest of theirs.
- calibration: in units of float inference over the same samples, on one thread; in brackets with loading and preparing.
  Processor time counts the thread that reads samples, which runs beside; wall time holds only where nothing else runs.
- calibration MB: peak memory of a process that does nothing else."""


def markdown(rows: Sequence[Row], problems: Sequence[str]) -> str:
    """The table, its legend, the machine, and notes on the networks."""
    lines = [_line(COLUMNS), _line(["---"] + ["---:"] * (len(COLUMNS) - 1)), *(_line(_cells(row)) for row in rows)]
    notes = [note for row in rows for note in _notes(row)] + [f"- {problem}" for problem in problems]
    return "\n".join([*lines, "", LEGEND, f"- machine: {_machine()}.", "", *notes]) + "\n"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(row: Row) -> Iterator[str]:
    times = row.latency
    yield row.name
    yield str(len(row.audit.float_nodes))
    yield "-" if row.scores is None else " / ".join(f"{score:.4f}" for score in row.scores)
    yield _sqnr(row.sqnr[OURS], row.sqnr[row.opponent])
    yield f"{row.exactness.differing} / {row.exactness.compared:,}"
    yield f"{times.ratio(OURS, row.opponent):.3f} ({times.ratio(OURS, row.fastest()):.3f})"
    yield f"{times.ratio(OURS, FLOAT):.2f}"
    yield f"{times.ratio(row.opponent, FLOAT):.2f}"
    yield f"{row.sizes[1] / row.sizes[0]:.2f}"
    cost = row.calibration
    yield f"{cost.per_sample.processor:.2f} ({cost.whole.processor:.2f}) / {cost.theirs_per_sample.processor:.2f}"
    yield f"{cost.per_sample.wall:.2f} ({cost.whole.wall:.2f}) / {cost.theirs_per_sample.wall:.2f}"
    yield _memory(row)


def _sqnr(made: Closeness, opponent: Closeness) -> str:
    parts = [f"{_db(made.total)} / {_db(opponent.total)}"]
    if len(made.outputs) > 1:
        parts += [f"{name} {_db(made.outputs[name])} / {_db(opponent.outputs[name])}" for name in made.outputs]
    return "<br>".join(parts)


def _db(value: float) -> str:
    return "exact" if value == math.inf else f"{value:.2f}"


def _memory(row: Row) -> str:
    if row.memory is None:
        return "-"
    pairs = (row.memory.ours, row.memory.theirs)
    return "; ".join(f"{few:.0f} → {many:.0f} ({100 * (many / few - 1):+.1f} %)" for few, many in pairs)


def _notes(row: Row) -> Iterator[str]:
    variants = ", ".join(f"{name} {_db(found.total)} dB" for name, found in row.sqnr.items() if name not in (OURS, row.opponent))
    times = row.latency
    yield (
        f"- {row.name}: {row.samples[0]} samples calibrate, {row.samples[1]} measure. Theirs is {row.opponent}, the fastest of "
        f"theirs {row.fastest()}; the others: {variants or 'none'}. Milliseconds: float {1e3 * times.seconds(FLOAT):.3f}, ours "
        f"{1e3 * times.seconds(OURS):.3f}, theirs {1e3 * times.seconds(row.opponent):.3f}."
    )
    for variant, reason in row.failures.items():
        yield f"  - theirs failed: {variant}: {reason}"
    for node in row.audit.float_nodes:
        yield f"  - float node: {node.name} ({node.op_type}) {node.reason}"
    for tensor, count in row.exactness.wrong.items():
        yield f"  - differs from exact arithmetic: {tensor}, {count} elements"


def _machine() -> str:
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", info.read_text()) if info.exists() else None
    processor = found[1] if found else platform.machine()
    return f"{processor}, onnxruntime {ort.__version__}, Python {platform.python_version()}"
