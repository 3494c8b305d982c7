"""Contact sheets: all tensors of a network side by side, each with its histogram, its extremes and the range that holds."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from qconv.plot.candidates import COLOURS, Candidate, chosen
from qconv.plot.histogram_picture import BARS, HISTOGRAM
from qconv.plot.text import decibels, drawable, ends, font, interval, percent, shortened
from qconv.statistics.summary import Summary

_COLUMNS = 6
TILES = 4 * _COLUMNS  # on one page, which a screen shows whole
_GAP = 10
TILE = (290, 212)  # pixels
_PAD = 8
_WIDTH = TILE[0] - 2 * _PAD
_LETTER = 13
_HEAD = 64
_LINE = "#c8c8c8"
_FLAG, LOW_DB = "#d40000", 20.0  # the frame of a tensor that keeps less than this


def tile(number: int, tensor: str, picture: Image.Image, summary: Summary, candidates: Sequence[Candidate]) -> Image.Image:
    """RGB of `TILE`: the picture of the tensor made small, and its number, name and figures in letters that are not."""
    found = Image.new("RGB", TILE, "white")
    pen = ImageDraw.Draw(found)
    holds = chosen(candidates)
    low = holds is not None and holds.sqnr_db is not None and holds.sqnr_db < LOW_DB
    pen.rectangle((0, 0, TILE[0] - 1, TILE[1] - 1), outline=_FLAG if low else _LINE, width=3 if low else 1)
    letters = font(bold=True, size=_LETTER)
    name = shortened(drawable(tensor), _WIDTH - letters.getlength(f"{number} "), letters)
    _write(pen, (_PAD, 5), f"{number} {name}", bold=True)
    found.paste(picture.crop(HISTOGRAM).resize((_WIDTH, 100), Image.Resampling.LANCZOS), (_PAD, 25))
    found.paste(picture.crop(BARS).resize((_WIDTH, 44), Image.Resampling.LANCZOS), (_PAD, 127))
    lo, hi = ends((summary.lo, summary.hi))
    _write(pen, (_PAD, 174), f"min {lo}  max {hi}  zeros {percent(summary.zeros, summary.elements)}")
    if holds is not None:
        pen.rectangle((_PAD, 195, _PAD + 9, 204), fill=COLOURS[holds.name], outline="black")
        name = holds.name if holds.method == holds.name else f"{holds.name} = {holds.method}"
        _write(pen, (_PAD + 15, 192), f"{name} {interval(holds.range)}{decibels(holds.sqnr_db)}", bold=True)
    return found


def _write(pen: ImageDraw.ImageDraw, place: tuple[int, int], text: str, *, bold: bool = False) -> None:
    """Writes in the largest letters that do not leave the tile."""
    room = TILE[0] - _PAD - place[0]
    size = next((size for size in range(_LETTER, 8, -1) if pen.textlength(text, font(bold=bold, size=size)) <= room), 8)
    pen.text((place[0], place[1] + _LETTER - size), text, "black", font(bold=bold, size=size))


def page(title: str, tiles: Sequence[Image.Image], methods: Sequence[str]) -> Image.Image:
    """RGB of all tiles in rows, below a title and the colours of the methods that were drawn."""
    columns = min(_COLUMNS, max(len(tiles), 2))
    rows = -(-len(tiles) // _COLUMNS)
    size = (_GAP + columns * (TILE[0] + _GAP), _HEAD + rows * (TILE[1] + _GAP) + _GAP)
    found = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(found)
    pen.text((_GAP, 10), drawable(title), "black", font(bold=True, size=16))
    _legend(pen, methods)
    for index, one in enumerate(tiles):
        row, column = divmod(index, _COLUMNS)
        found.paste(one, (_GAP + column * (TILE[0] + _GAP), _HEAD + row * (TILE[1] + _GAP)))
    return found


def _legend(pen: ImageDraw.ImageDraw, methods: Sequence[str]) -> None:
    left = _GAP
    for method in methods:
        pen.rectangle((left, 41, left + 11, 52), fill=COLOURS[method], outline="black")
        pen.text((left + 17, 38), method, "black", font(size=_LETTER))
        left += 17 + int(pen.textlength(method, font(size=_LETTER))) + 18
