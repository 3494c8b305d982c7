from __future__ import annotations

from itertools import combinations

import pytest

from qconv.plot.candidates import COLOURS, candidates, chosen
from qconv.ranges.choices import choice_of
from qconv.ranges.methods import METHODS
from tests.plot.calibrations import BELL, SCHEME, calibration, of


def test_every_method_has_a_colour_of_its_own() -> None:
    assert set(COLOURS) == {*METHODS, "derived"}
    assert len(set(COLOURS.values())) == len(COLOURS)


def test_colours_differ_for_the_colour_blind() -> None:
    # Who cannot tell red from green light sees their weighted sum, and blue. 20 of 255 is far above what is just noticeable.
    def seen(colour: str) -> tuple[float, float]:
        red, green, blue = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
        return 0.29 * red + 0.71 * green, float(blue)

    for one, other in combinations(COLOURS, 2):
        a, b = seen(COLOURS[one]), seen(COLOURS[other])
        assert max(abs(a[0] - b[0]), abs(a[1] - b[1])) > 20, f"{one} and {other} look alike"


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"ema"}))
def test_the_calibration_s_method_is_chosen(method: str) -> None:
    found = candidates(of_outlier := calibration({"x": of(1000.0)}, method), "x", SCHEME)
    assert [candidate.name for candidate in found] == [name for name in COLOURS if name not in ("ema", "derived")]
    holds = chosen(found)
    assert holds is not None and holds.name == method
    choice = choice_of(of_outlier, SCHEME)("x")
    assert choice is not None
    assert (holds.method, holds.range) == (choice.method, choice.range)


def test_auto_tells_what_it_took_and_keeps_outcomes() -> None:
    given = calibration({"x": of(1000.0)}, "auto")
    free, kept = (chosen(candidates(given, "x", SCHEME, keep)) for keep in ((), ("x",)))
    assert free is not None and kept is not None
    assert free.method != "minmax" and free.range[1] < 1000
    assert kept.method == "minmax" and kept.range[1] == 1000


def test_a_derived_range_holds_whatever_the_method() -> None:
    found = candidates(calibration({"x": BELL}, "mse", {"x": (-9.0, 9.0)}), "x", SCHEME)
    holds = chosen(found)
    assert holds is not None and (holds.name, holds.range) == ("derived", (-9.0, 9.0))
    assert sum(candidate.chosen for candidate in found) == 1


def test_ema_without_averages_has_no_range() -> None:
    found = candidates(calibration({"x": BELL}, "ema"), "x", SCHEME)
    assert "ema" not in {candidate.name for candidate in found}
    assert chosen(found) is None
