from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from qconv.plot.axis import MARGIN, Axis, axis_of
from tests.plot.calibrations import BELL, of
from tests.statistics.strategies import ELEMENTS, Elements, summary


def test_an_ordinary_tensor_has_a_linear_axis() -> None:
    axis = axis_of(summary(BELL), (-8.0, 8.0))
    assert axis.linear
    assert axis.place([-8.0, 0.0, 4.0, 8.0]) == pytest.approx([MARGIN, 0.5, 0.75 - MARGIN / 2, 1 - MARGIN])
    assert axis.ticks == [-5, 0, 5]


@pytest.mark.parametrize("outliers", [(1000.0,), (-1e6,), (-1e4, 1e5), (3e38, -3e38)])
def test_outliers_do_not_squeeze_the_middle(outliers: tuple[float, ...]) -> None:
    found = summary(of(*outliers))
    axis = axis_of(found, (found.lo, found.hi))
    assert not axis.linear
    left, right = axis.place(axis.middle)
    assert 0.55 < right - left < 0.7  # 60 % of what the margins leave, where neither end of the middle is an end of the axis
    assert axis.place([found.lo, found.hi]) == pytest.approx([MARGIN, 1 - MARGIN])
    assert any(abs(tick) >= max(map(abs, outliers)) / 10 for tick in axis.ticks)


def test_an_outlier_that_leaves_room_changes_nothing() -> None:
    assert axis_of(summary(of(50.0)), (-4.0, 50.0)).linear


def test_a_wider_range_is_shown_too() -> None:
    axis = axis_of(summary(BELL), (-5.0, 5000.0))
    assert axis.place(5000.0) == pytest.approx(1 - MARGIN)
    assert not axis.linear


@pytest.mark.parametrize("value", [0.0, 3.25, -1e-30, 3e38])
def test_constants_stand_in_the_middle(value: float) -> None:
    found = summary(np.full(4, value, np.float32))
    axis = axis_of(found, (found.lo, found.hi))
    assert axis.place(found.lo) == pytest.approx(0.5)
    assert axis.linear


@given(ELEMENTS)
def test_places_are_ordered_and_ticks_lie_on_the_axis(elements: Elements) -> None:
    found = summary(elements)
    axis = axis_of(found, (found.lo, found.hi))
    places = axis.place(np.linspace(axis.lo, axis.hi, 50))
    assert np.isfinite(places).all() and (np.diff(places) >= 0).all()
    ticks = axis.place(axis.ticks)
    assert ((ticks > 0) & (ticks < 1)).all()
    assert 1 <= len(ticks) <= 20
    assert (np.diff(ticks) > 0.02).all()


def test_labels_have_room() -> None:
    long = Axis(-1e6, 2e5, (-1024.0, 1024.0))
    assert (np.diff(long.place(long.ticks)) > 0.05).all()
    assert {-1e6, 0.0} <= set(long.ticks)
