from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageColor

from qconv.plot.candidates import COLOURS, Candidate
from qconv.plot.contact_sheet import TILE, page, tile
from qconv.plot.histogram_picture import HistogramPicture
from tests.plot.calibrations import BELL
from tests.statistics.strategies import summary

CANDIDATES = [Candidate("mse", "mse", (-2.0, 2.0), True), Candidate("aciq", "aciq", (-3.0, 3.0), False)]


def one(title: str, scale: float = 1.0) -> Image.Image:
    found = summary((BELL * np.float32(scale)).astype(np.float32))
    ranges = [Candidate(c.name, c.method, (scale * c.range[0], scale * c.range[1]), c.chosen) for c in CANDIDATES]
    return tile(12, title, HistogramPicture().draw(title, found, ranges, ""), found, ranges)


@pytest.mark.parametrize(("title", "scale"), [("conv", 1.0), ("name/" * 60, 1e-30), ("", 1e30)])
def test_all_text_stays_inside_of_the_tile(title: str, scale: float) -> None:
    pixels = np.asarray(one(title, scale).convert("L"))
    assert pixels.shape == TILE[::-1]
    assert (pixels[1:-1, -5:-1] == 255).all() and (pixels[1:-1, 1:5] == 255).all()
    assert (pixels[4:22, :28] < 100).any() and (pixels[4:22, 30:-5] < 100).any() == bool(title)  # the number, the name
    assert (pixels[172:189] < 100).any() and (pixels[190:208] < 100).any()  # extremes, range


def test_the_chosen_method_s_colour_stands_before_its_range() -> None:
    pixels = np.asarray(one("conv"))[190:208]
    seen = [name for name in COLOURS if (pixels == ImageColor.getrgb(COLOURS[name])).all(2).sum() > 40]
    assert "mse" in seen and "aciq" not in seen


@pytest.mark.parametrize(("count", "columns", "rows"), [(0, 2, 0), (1, 2, 1), (6, 6, 1), (7, 6, 2), (100, 6, 17)])
def test_tiles_stand_in_rows(count: int, columns: int, rows: int) -> None:
    sheet = page("title", [one_grey()] * count, ["minmax", "auto"])
    width, height = TILE[0] + 10, TILE[1] + 10
    assert sheet.size == (10 + columns * width, sheet.height) and sheet.height // height == rows
    grey = (np.asarray(sheet) == 77).all(2)
    assert grey.sum() == count * TILE[0] * TILE[1], "none covers another"


def one_grey() -> Image.Image:
    return Image.new("RGB", TILE, (77, 77, 77))
