from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qconv.statistics.averages import MOMENTUM, Averages

FLOATS = st.floats(-(2.0**100), 2.0**100, width=32)
EXTREMES = st.lists(st.one_of(st.tuples(FLOATS, FLOATS), st.none()), max_size=12)


def averages(extremes: list[tuple[float, float] | None]) -> Averages:
    """None stands for a sample in which the tensor is empty."""
    pairs = [(np.inf, -np.inf) if pair is None else (min(pair), max(pair)) for pair in extremes]
    return Averages.of(np.array([p[0] for p in pairs], np.float32), np.array([p[1] for p in pairs], np.float32))


def of_maxima(hi: list[float]) -> Averages:
    return averages([(0.0, value) for value in hi])


def test_average_by_hand() -> None:
    m = MOMENTUM
    expected = (m * m * 1 + m * 2 + 6) / (m * m + m + 1)
    assert of_maxima([1, 2, 6]).hi == pytest.approx(expected, rel=1e-14)  # rounding of three float64 operations


def test_later_samples_weigh_more() -> None:
    assert of_maxima([1, 5]).hi > of_maxima([5, 1]).hi
    assert of_maxima([1]).followed_by(of_maxima([5])).hi > of_maxima([5]).followed_by(of_maxima([1])).hi


def test_the_first_sample_has_no_extra_weight() -> None:
    assert of_maxima([100.0] + [1.0] * 400).hi < 1.1


@given(extremes=EXTREMES, cut=st.integers(0, 12))
def test_runs_add_up_in_order(extremes: Any, cut: int) -> None:
    whole, parts = averages(extremes), averages(extremes[:cut]).followed_by(averages(extremes[cut:]))
    assert whole.samples == parts.samples
    np.testing.assert_allclose((whole.lo, whole.hi), (parts.lo, parts.hi), rtol=1e-9, atol=1e16)  # of values up to 2^100


@given(extremes=EXTREMES)
def test_json_gives_back_the_same_value(extremes: Any) -> None:
    value = averages(extremes)
    assert Averages.from_json(json.loads(json.dumps(value.to_json(), allow_nan=False))) == value


@pytest.mark.parametrize(
    "damaged", [{}, {"lo": 0, "hi": 1}, {"lo": 1, "hi": 0, "samples": 1}, {"lo": 0, "hi": 1, "samples": -1}, []]
)
def test_damaged_json_is_refused(damaged: Any) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Averages.from_json(damaged)
