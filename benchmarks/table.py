"""Rows as Markdown: the table, and under it what does not fit into one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from benchmarks.closeness import EXACT_SAMPLES, Closeness
from benchmarks.measure import FLOAT, OURS, Row
from benchmarks.page import line, machine

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
)
LEGEND = f"""\
- theirs: onnxruntime.quantization, min-max, the best in total SQNR of QDQ and QOperator, per channel and per tensor.
- float nodes: in the graph that onnxruntime runs, between QuantizeLinear of the inputs and DequantizeLinear of the outputs.
- SQNR: of all outputs together, then of each where there are several.
- elements: of all tensors over {EXACT_SAMPLES} samples, onnxruntime against the executor in exact integer arithmetic.
- time: processor time of a run on one thread, all models in turn, medians of ratios; in brackets against the fastest."""


def markdown(rows: Sequence[Row], problems: Sequence[str]) -> str:
    """The table, its legend, the machine, and notes on the networks."""
    lines = [line(COLUMNS), line(["---"] + ["---:"] * (len(COLUMNS) - 1)), *(line(_cells(row)) for row in rows)]
    notes = [note for row in rows for note in _notes(row)] + [f"- {problem}" for problem in problems]
    return "\n".join([*lines, "", LEGEND, f"- machine: {machine()}.", "", *notes]) + "\n"


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


def _sqnr(made: Closeness, opponent: Closeness) -> str:
    parts = [f"{_db(made.total)} / {_db(opponent.total)}"]
    if len(made.outputs) > 1:
        parts += [f"{name} {_db(made.outputs[name])} / {_db(opponent.outputs[name])}" for name in made.outputs]
    return "<br>".join(parts)


def _db(value: float) -> str:
    return "exact" if value == math.inf else f"{value:.2f}"


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
