from __future__ import annotations

import pytest

from qconv.plot.text import drawable, font, interval, number, percent, shortened


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (1.23456, "1.235"), (-1e6, "-1e6"), (2.5e-7, "2.5e-7"), (3.4e38, "3.4e38"), (100.0, "100")]
)
def test_numbers(value: float, text: str) -> None:
    assert number(value) == text


def test_ends_that_would_look_alike_get_more_digits() -> None:
    assert interval((-1.0, 2.5)) == "[-1, 2.5]"
    assert interval((999995.5, 1000004.75)) == "[999995.5, 1000004.75]"
    assert interval((3.25, 3.25)) == "[3.25, 3.25]"


def test_percentages_do_not_round_to_none_or_all() -> None:
    assert [percent(*pair) for pair in ((0, 9), (1, 10**6), (451, 1000), (10**6 - 1, 10**6), (7, 7), (0, 0))] == [
        "0.0 %", "< 0.1 %", "45.1 %", "> 99.9 %", "100.0 %", "0.0 %",
    ]  # fmt: skip


def test_names() -> None:
    assert drawable("conv/Δ:0") == "conv/Δ:0"
    assert drawable("中\n") == "\\u4e2d\\n"


@pytest.mark.parametrize("text", ["abcdef", "W" * 40, "i" * 5000, ""])
def test_what_is_too_wide_keeps_its_end(text: str) -> None:
    letters = font(size=13)
    found = shortened(text, 200, letters)
    assert letters.getlength(found) <= 200
    assert found == text or (found[0] == "…" and text.endswith(found[1:]) and letters.getlength(found) > 180)
