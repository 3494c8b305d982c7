"""The picture of one tensor: the density of its elements, and below it the range that each method would choose."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from qconv.plot.axis import DIGITS, Axis, axis_of
from qconv.plot.candidates import COLOURS, Candidate, chosen
from qconv.plot.density import density_of
from qconv.plot.text import decibels, drawable, ends, font, interval, number, percent, shortened
from qconv.statistics.summary import Summary

SIZE = (1000, 640)  # pixels
_LEFT, _RIGHT = 120, 684  # pixels of the axis of values
# Pixels from the top.
HISTOGRAM = (_LEFT, 76, _RIGHT, 396)
BARS = (_LEFT, 404, _RIGHT, 588)
_DPI = 100
_GREY, _FILL, _OUTSIDE = "#666666", "#7f8fa6", "#ececec"
_BAR = 0.62  # of a row
_LEAST = 0.004  # of the axis: a bar of a range of one value
_ROWS = 6  # at least
_LONG = 38  # letters of 9.5 points that stand beside a bar

Box = tuple[int, int, int, int]


class HistogramPicture:
    """Draws one tensor after another on the same canvas."""

    def __init__(self) -> None:
        self._figure = Figure(figsize=(SIZE[0] / _DPI, SIZE[1] / _DPI), dpi=_DPI)
        self._canvas = FigureCanvasAgg(self._figure)
        self._above, self._below = self._axes(HISTOGRAM), self._axes(BARS)
        self._above.set_ylabel("density, logarithmic", color=_GREY, labelpad=4)
        self._above.tick_params(axis="y", color=_GREY, labelcolor=_GREY, labelsize=8)
        self._below.tick_params(axis="x", labelsize=9)
        self._below.spines["left"].set_visible(False)

    def draw(self, tensor: str, summary: Summary, candidates: Sequence[Candidate], remark: str) -> Image.Image:
        """RGB of `SIZE`; `remark` ends the line of figures below the name."""
        self._clean()
        ranges = [(summary.lo, summary.hi), *(candidate.range for candidate in candidates)]
        axis = axis_of(summary, (min(lo for lo, _ in ranges), max(hi for _, hi in ranges)))
        holds = chosen(candidates)
        self._head(tensor, summary, remark if holds is None else f"{remark}   chosen: {holds.name}")
        if holds is not None:
            _shade(self._above, axis, summary, holds)
        _histogram(self._above, axis, summary)
        _bars(self._below, axis, candidates)
        _ticks(self._above, self._below, axis)
        self._canvas.draw()  # type: ignore[no-untyped-call]
        pixels = np.asarray(self._canvas.buffer_rgba())  # type: ignore[no-untyped-call]
        return Image.fromarray(pixels).convert("RGB")

    def _axes(self, box: Box) -> Axes:
        (width, height), (left, top, right, bottom) = SIZE, box
        axes = self._figure.add_axes(
            (left / width, 1 - bottom / height, (right - left) / width, (bottom - top) / height),
            xlim=(0, 1),
            xticks=[],
            yticks=[],
        )
        axes.spines[["top", "right"]].set_visible(False)
        return axes

    def _clean(self) -> None:
        """Removes what was drawn; new axes would take half of the time of a picture."""
        drawn = [(*axes.patches, *axes.lines, *axes.collections, *axes.texts) for axes in (self._above, self._below)]
        for artist in (*self._figure.texts, *drawn[0], *drawn[1]):
            artist.remove()

    def _head(self, tensor: str, summary: Summary, remark: str) -> None:
        lo, hi = ends((summary.lo, summary.hi))
        counted = f"elements counted {summary.elements:,}   samples {summary.samples:,}"
        figures = f"min {lo}   max {hi}   zeros {percent(summary.zeros, summary.elements)}   {counted}   {remark}"
        name = shortened(drawable(tensor), SIZE[0] - 60, font(bold=True, size=18))
        lines = ((26, name, 18 * 72 / _DPI, "bold"), (52, figures, 9.5, "normal"))
        for top, text, size, weight in lines:
            self._figure.text(0.02, 1 - top / SIZE[1], text, size=size, weight=weight, va="center", parse_math=False)


def _shade(axes: Axes, axis: Axis, summary: Summary, holds: Candidate) -> None:
    """Grey where the chosen range clips elements."""
    lo, hi = axis.place(holds.range)
    least, most = axis.place((summary.lo, summary.hi))
    for start, end in ((least, lo), (hi, most)):
        if start < end:
            axes.axvspan(start, end, color=_OUTSIDE, linewidth=0)
    axes.vlines([lo, hi], 0, 1, transform=axes.get_xaxis_transform(), color=COLOURS[holds.name], linewidth=1.6)


def _histogram(axes: Axes, axis: Axis, summary: Summary) -> None:
    """The density, on a logarithmic scale. The outline shows steps that are narrower than a pixel."""
    edges, counts = summary.histogram.edges, summary.histogram.counts
    if not counts.any():
        axes.set(ylim=(0, 1), yticks=[])
        axes.text(0.52, 0.7, "all zeros" if summary.zeros else "no elements", color=_GREY)
        return
    density = density_of(edges, counts, summary.elements, axis)
    filled = density.heights > 0
    logarithms = np.log10(density.heights, where=filled, out=np.full(len(filled), np.inf))
    floor, top = float(logarithms.min()) - 0.5, float(logarithms[filled].max()) + 0.2
    logarithms[~filled] = floor
    axes.stairs(logarithms, density.places, baseline=floor, fill=True, facecolor=_FILL, edgecolor=_FILL, linewidth=0.9)
    axes.set_ylim(floor, top)
    _decades(axes, floor, top)


def _decades(axes: Axes, floor: float, top: float) -> None:
    decades = range(int(np.ceil(floor)), int(np.floor(top)) + 1)
    shown = decades[:: max(1, -(-len(decades) // 7))]
    axes.set_yticks(shown, [f"{10.0**k:g}" if -3 <= k <= 3 else f"1e{k}" for k in shown])


def _bars(axes: Axes, axis: Axis, candidates: Sequence[Candidate]) -> None:
    """A row for each method with its numbers; that of the choice is backed and bold."""
    axes.set_ylim(max(len(candidates), _ROWS) - 0.5, -0.5)
    for row, candidate in enumerate(candidates):
        lo, hi = map(float, axis.place(candidate.range))
        weight = "bold" if candidate.chosen else "normal"
        if candidate.chosen:
            axes.axhspan(row - 0.5, row + 0.5, color=_OUTSIDE, linewidth=0)
        axes.barh(row, max(hi - lo, _LEAST), left=lo, height=_BAR, color=COLOURS[candidate.name], linewidth=0)
        took = f" = {candidate.method}" if candidate.method != candidate.name else ""
        mark = "▶ " if candidate.chosen else ""
        axes.text(-0.012, row, f"{mark}{candidate.name}", ha="right", va="center", size=9.5, weight=weight)
        axes.text(
            1.015, row, f"{interval(candidate.range)}{took}{decibels(candidate.sqnr_db)}", va="center", size=9.5, weight=weight
        )


def _ticks(above: Axes, below: Axes, axis: Axis) -> None:
    below.set_xticks(axis.place(axis.ticks), [number(tick, DIGITS) for tick in axis.ticks])
    kinks = [end for end in axis.middle if axis.lo < end < axis.hi]
    for axes in (above, below):
        axes.vlines(axis.place(kinks), 0, 1, transform=axes.get_xaxis_transform(), color=_GREY, linewidth=0.8, linestyle=":")
    remark = "linear between the dotted lines, where the middle 99 % lie; logarithmic beyond" if kinks else "linear"
    below.set_xlabel(remark, color=_GREY, size=8.5)
