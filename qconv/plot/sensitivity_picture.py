"""The places of a network, ranked by what they cost: a bar for each number of bits."""

from __future__ import annotations

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from qconv.analyze.analysis import Analysis
from qconv.errors import OutputError

_MOST = 40
_COLOURS = ("#0072B2", "#E69F00", "#D55E00")
_NAME = 48  # characters of a node's name; its end tells more than its beginning


def draw_sensitivity(analysis: Analysis, path: Path) -> None:
    """Writes the picture, of the kind that its ending names. Raises OutputError."""
    places = analysis.places[:_MOST]
    figure = Figure(figsize=(9, 1.2 + 0.24 * max(len(places), 4)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    bits = sorted(analysis.whole_db, reverse=True)
    height = 0.8 / len(bits)
    for number, count in enumerate(bits):
        rows = [index + (number - (len(bits) - 1) / 2) * height for index in range(len(places))]
        colour = _COLOURS[number % len(_COLOURS)]
        axes.barh(rows, [place.alone_db[count] for place in places], height, label=f"{count} bits", color=colour)
        axes.axvline(analysis.whole_db[count], color=colour, linestyle=":", linewidth=1)
    axes.set_yticks(range(len(places)), [place.node[-_NAME:] for place in places], fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel("SQNR in dB where this place alone is rounded; dotted: the whole network")
    axes.margins(y=0.01)
    axes.legend(loc="upper right")
    axes.set_title(f"{Path(analysis.model).name}: the {len(places)} most sensitive places of {len(analysis.places)}", fontsize=10)
    try:
        figure.savefig(path, dpi=120)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from None
