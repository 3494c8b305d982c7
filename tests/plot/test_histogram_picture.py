"""What is drawn is read back from the pixels."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageColor

from qconv.plot.axis import MARGIN
from qconv.plot.candidates import COLOURS, Candidate, candidates
from qconv.plot.histogram_picture import BARS, HISTOGRAM, SIZE, HistogramPicture
from tests.plot.calibrations import BELL, SCHEME, calibration, of
from tests.statistics.strategies import summary

PIXEL = 2.0  # antialiasing at either end of a bar


def drawn(elements: NDArray[np.float32], ranges: dict[str, tuple[float, float]], holds: str = "") -> Image.Image:
    found = [Candidate(name, name, ends, name == holds) for name, ends in ranges.items()]
    return HistogramPicture().draw("tensor", summary(elements), found, "uint8")


def columns(picture: Image.Image, box: tuple[int, int, int, int], colour: str) -> NDArray[np.intp]:
    """Which columns of the box have a pixel of the colour, as far as a thin line has any."""
    difference = np.abs(np.asarray(picture.crop(box), np.int64) - ImageColor.getrgb(colour))
    found: NDArray[np.intp] = np.flatnonzero((difference < 4).all(2).any(0))
    return found


def length(picture: Image.Image, method: str) -> int:
    return int(np.ptp(columns(picture, BARS, COLOURS[method]))) + 1


def test_bars_are_as_long_as_their_ranges() -> None:
    ranges = {"minmax": (-8.0, 8.0), "mse": (-4.0, 4.0), "aciq": (-1.0, 1.0), "auto": (-4.0, 4.0)}
    picture = drawn(BELL, ranges, "auto")
    assert picture.size == SIZE and picture.mode == "RGB"
    whole = (BARS[2] - BARS[0]) * (1 - 2 * MARGIN)
    for method, (lo, hi) in ranges.items():
        assert length(picture, method) == pytest.approx(whole * (hi - lo) / 16, abs=PIXEL)
    rows = [np.flatnonzero((np.asarray(picture.crop(BARS)) == ImageColor.getrgb(COLOURS[m])).all(2).any(1)) for m in ranges]
    assert all(above.max() < below.min() for above, below in pairwise(rows)), "methods that agree lie below each other"


def test_the_chosen_range_is_marked_in_the_histogram_and_what_it_clips_is_grey() -> None:
    ranges = {"minmax": (-4.0, 4.0), "mse": (-2.0, 1.0)}
    clipped, whole = drawn(BELL, ranges, "mse"), drawn(BELL, ranges, "minmax")
    lines = columns(clipped, HISTOGRAM, COLOURS["mse"])
    lo, hi = float(BELL.min()), float(BELL.max())
    places = (np.array([-2.0, 1.0]) - min(lo, -4)) / (max(hi, 4.0) - min(lo, -4))
    expected = (MARGIN + (1 - 2 * MARGIN) * places) * (HISTOGRAM[2] - HISTOGRAM[0])
    assert [lines.min(), lines.max()] == pytest.approx(expected, abs=PIXEL)
    grey = columns(clipped, HISTOGRAM, "#ececec")
    assert not ((grey > lines.min()) & (grey < lines.max())).any() and len(grey) > 200
    assert not columns(whole, HISTOGRAM, COLOURS["mse"]).size
    assert len(columns(whole, HISTOGRAM, "#ececec")) < 80  # [-4, 4] clips the two or three elements farthest out


def test_a_huge_outlier_leaves_the_bulk_visible() -> None:
    elements = of(1000.0)
    ordinary, stretched = (np.asarray(drawn(e, {"minmax": (-5.0, float(e.max()))}).crop(HISTOGRAM)) for e in (BELL, elements))
    filled = [int((picture == ImageColor.getrgb("#7f8fa6")).all(2).sum()) for picture in (ordinary, stretched)]
    assert filled[1] > filled[0] / 3


@pytest.mark.parametrize(
    "elements",
    [[], [0.0] * 9, [3.25] * 9, [1e-45, 0.0], [3.4e38, -3.4e38, 1.0], [-1e-30], [1e6, 1e6 + 1]],
    ids=["none", "zeros", "constant", "denormal", "largest", "negative", "close"],
)
def test_odd_tensors_are_drawn(elements: list[float]) -> None:
    found = calibration({"x": np.array(elements, np.float32)}, "auto", {})
    picture = HistogramPicture().draw("x", found.tensors["x"], candidates(found, "x", SCHEME), "")
    assert columns(picture, BARS, "#000000").size, "there is an axis and a bar"


@pytest.mark.parametrize(
    "name",
    ["", "$\\frac{$", "a$b$c", "中文\n\t\x00", "%s {0} \\n", "W" * 5000],
    ids=["none", "broken", "mathtext", "no glyph", "format", "long"],
)
def test_names_are_text_and_nothing_else(name: str) -> None:
    picture = HistogramPicture().draw(name, summary(BELL), [], "")
    head = np.asarray(picture.crop((0, 0, SIZE[0], 40)).convert("L"))
    assert (head < 128).any() == bool(name)
    assert (head[:, -5:] == 255).all(), "the name ends within the picture"


def test_the_longest_numbers_end_within_the_picture() -> None:
    found = summary((BELL * np.float32(1e-37)).astype(np.float32))
    longest = [Candidate(name, "percentile", (-4.494e-38, 4.732e-38), name == "auto") for name in ("minmax", "auto")]
    picture = HistogramPicture().draw("x", found, longest, "uint8")
    pixels = np.asarray(picture.convert("L"))
    assert (pixels[:, -5:] == 255).all()
    assert (pixels[BARS[1] : BARS[3], -60:-5] < 128).any(), "they come near to the edge"


def test_a_picture_does_not_depend_on_those_before() -> None:
    picture = HistogramPicture()
    picture.draw("first", summary(of(1e5)), [Candidate("mse", "mse", (-1.0, 1.0), True)], "remark")
    picture.draw("zeros", summary(np.zeros(3, np.float32)), [], "")
    again = picture.draw("tensor", summary(BELL), [Candidate("minmax", "minmax", (-5.0, 5.0), False)], "uint8")
    assert again.tobytes() == drawn(BELL, {"minmax": (-5.0, 5.0)}).tobytes()
