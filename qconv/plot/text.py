"""How names and numbers are written in pictures."""

from __future__ import annotations

import math
import re
from functools import cache
from pathlib import Path

import matplotlib
from matplotlib.font_manager import get_font
from PIL import ImageFont

from qconv.statistics.summary import Range

_FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
REGULAR, BOLD = _FONTS / "DejaVuSans.ttf", _FONTS / "DejaVuSans-Bold.ttf"
_DIGITS = 4
_MOST_DIGITS = 9  # tell any two float32 apart


def drawable(text: str) -> str:
    """The text with an escape for every character that the font has no picture of."""
    faces = get_font(str(REGULAR))
    known = (char if char.isprintable() and faces.get_char_index(ord(char)) else ascii(char)[1:-1] for char in text)
    return "".join(known)


@cache
def font(*, bold: bool = False, size: int) -> ImageFont.FreeTypeFont:
    """The font with letters of `size` pixels."""
    return ImageFont.truetype(str(BOLD if bold else REGULAR), size)


def shortened(text: str, width: float, letters: ImageFont.FreeTypeFont) -> str:
    """A text of at most `width` pixels: of a longer one the end, which tells more of a tensor's name."""
    if len(text) <= width and letters.getlength(text) <= width:
        return text
    fits = (f"…{text[-length:]}" for length in range(min(len(text) - 1, int(width)), 0, -1))
    return next((end for end in fits if letters.getlength(end) <= width), "…")


def number(value: float, digits: int = _DIGITS) -> str:
    """A number with so many significant digits, and short exponents: 1.5e6."""
    return re.sub(r"e([+-])0*", lambda found: "e" + found[1].strip("+"), f"{value:.{digits}g}")


def ends(of: Range) -> tuple[str, str]:
    """Four digits, and more where the two would else look alike."""
    lo, hi = of
    alike = math.log10(max(abs(lo), abs(hi)) / (hi - lo)) if hi > lo else 0.0
    digits = min(_DIGITS + max(0, math.floor(alike)), _MOST_DIGITS)
    return number(lo, digits), number(hi, digits)


def interval(of: Range) -> str:
    """An interval as it is written: [lo, hi]."""
    lo, hi = ends(of)
    return f"[{lo}, {hi}]"


def percent(part: int, whole: int) -> str:
    """45.1 %; what is less than all and more than nothing is never shown as such."""
    rounded = f"{100 * part / whole if whole else 0.0:.1f}"
    if rounded == "0.0" and part:
        return "< 0.1 %"
    return "> 99.9 %" if rounded == "100.0" and part < whole else f"{rounded} %"


def decibels(sqnr_db: float | None) -> str:
    """What a range leaves of a tensor, behind other words; nothing where it loses nothing."""
    return "" if sqnr_db is None else f"  {sqnr_db:.1f} dB"
