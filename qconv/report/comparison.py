"""`comparison_page`: several integer models of one float model side by side."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from qconv.verify.report.report import Report

from .page import environment_of_pages, min_sqnr

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _RIGHT, _TOP = 640.0, 300.0, 64.0, 44.0, 150.0, 18.0
_LINE = 13.0  # pixels of a line of text
_NO_ERROR_DB = 60.0  # where a model without any error stands in a plot


@dataclass(frozen=True)
class Dot:
    """A model in a plot, in pixels; `best` where none is both better and cheaper."""

    name: str
    x: float
    y: float
    best: bool
    label: str
    name_y: float = 0.0  # of its name, beside that of a neighbour


@dataclass(frozen=True)
class Plot:
    """Score against one cost, with marks on both axes."""

    title: str
    across: str
    up: str
    dots: tuple[Dot, ...]
    x_marks: tuple[tuple[float, str], ...]
    y_marks: tuple[tuple[float, str], ...]
    front: str


def comparison_page(reports: Sequence[Report]) -> str:
    """The page: a table, and the scores against size and against time; an SQNR is the score where accuracy tells none apart."""
    names = short_names([report.integer_model for report in reports])
    labelled = all(report.accuracy is not None for report in reports)
    tells = len({report.accuracy.integer_top1 for report in reports if report.accuracy is not None}) > 1
    scores = [_score(report, labelled=labelled and tells) for report in reports]
    up = "top-1 accuracy, %" if labelled and tells else "SQNR of the worst output, dB"
    plots = (
        _plot("Score against size", "size, kB", up, names, [report.cost.integer_bytes / 1e3 for report in reports], scores),
        _plot("Score against time", "time of a run, ms", up, names, [report.cost.integer_ms for report in reports], scores),
    )
    rows = list(zip(names, reports, (min_sqnr(report) for report in reports), strict=True))
    return (
        environment_of_pages()
        .get_template("comparison.html")
        .render(
            rows=rows,
            plots=plots,
            labelled=labelled,
            width=_WIDTH,
            height=_HEIGHT,
            left=_LEFT,
            bottom=_BOTTOM,
            top=_TOP,
            right=_RIGHT,
        )
    )


def short_names(paths: Sequence[str]) -> list[str]:
    """The file names, or the paths where two files have one name."""
    names = [Path(path).name for path in paths]
    return names if len(set(names)) == len(names) else list(paths)


def _score(report: Report, *, labelled: bool) -> float:
    if labelled and report.accuracy is not None:
        return 100 * report.accuracy.integer_top1
    return min(max(min_sqnr(report), 0.0), _NO_ERROR_DB)


def _plot(title: str, across: str, up: str, names: Sequence[str], costs: Sequence[float], scores: Sequence[float]) -> Plot:
    (low, high), (least, most) = _span(costs), _span(scores)

    def place(cost: float, score: float) -> tuple[float, float]:
        x = _LEFT + (cost - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)
        return x, _HEIGHT - _BOTTOM - (score - least) / (most - least) * (_HEIGHT - _BOTTOM - _TOP)

    pairs = list(zip(costs, scores, strict=True))
    best = [not any(c <= cost and s >= score and (c, s) != (cost, score) for c, s in pairs) for cost, score in pairs]
    dots = tuple(
        Dot(name, *place(cost, score), front, f"{name}: {cost:.4g} and {score:.4g}")
        for name, (cost, score), front in zip(names, pairs, best, strict=True)
    )
    dots = tuple(_apart(dots))
    front = sorted((dot.x, dot.y) for dot in dots if dot.best)
    path = "M" + " L".join(f"{x:.1f},{y:.1f}" for x, y in front)
    x_marks = tuple((place(mark, least)[0], f"{mark:.4g}") for mark in _marks(low, high))
    y_marks = tuple((place(low, mark)[1], f"{mark:.4g}") for mark in _marks(least, most))
    return Plot(title, across, up, dots, x_marks, y_marks, path)


def _apart(dots: Sequence[Dot]) -> Iterator[Dot]:
    """The dots, with names that cover neither each other nor other dots."""
    taken: list[tuple[float, float]] = []
    for dot in dots:
        y = dot.y
        others = [(other.x, other.y) for other in dots if 0 < other.x - dot.x < _RIGHT]
        while any(abs(y - other) < _LINE and abs(dot.x - x) < _RIGHT for x, other in (*taken, *others)):
            y += _LINE
        taken.append((dot.x, y))
        yield replace(dot, name_y=y)


def _span(values: Sequence[float]) -> tuple[float, float]:
    """The span from below the least to above the greatest."""
    low, high = min(values), max(values)
    room = (high - low) * 0.08 or abs(high) * 0.05 or 1.0
    return low - room, high + room


def _marks(low: float, high: float) -> list[float]:
    """Four or so round numbers within a span."""
    raw = (high - low) / 4
    step = 10.0 ** math.floor(math.log10(raw))
    step *= next((factor for factor in (1, 2, 5) if factor * step >= raw), 10)
    return [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]
