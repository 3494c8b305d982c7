"""The laws of `Statistic`, held by every method."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qconv.calibrate.methods import METHODS
from qconv.calibrate.statistics import Observation, Statistic
from qconv.quant.types import UINT8, Scheme

SCHEME = Scheme(UINT8)
FLOATS = st.floats(-(2.0**100), 2.0**100, width=32)
EXTREMES = st.lists(st.one_of(st.tuples(FLOATS, FLOATS), st.none()), max_size=12)
EVERY_METHOD = pytest.mark.parametrize("kind", METHODS.values(), ids=METHODS)


def observe(extremes: list[tuple[float, float] | None]) -> Observation:
    """None stands for a sample in which the tensor is empty."""
    pairs = [(np.inf, -np.inf) if pair is None else (min(pair), max(pair)) for pair in extremes]
    return Observation(np.array([p[0] for p in pairs], np.float32), np.array([p[1] for p in pairs], np.float32))


def alike(a: Statistic, b: Statistic) -> bool:
    """Equal where the method commutes; else to the rounding of averages in float64, of values up to 2^100."""
    if a.commutes:
        return a == b
    near = np.allclose(a.range(SCHEME), b.range(SCHEME), rtol=1e-9, atol=1e16)
    return near and a.to_json()["samples"] == b.to_json()["samples"]


@EVERY_METHOD
@given(a=EXTREMES, b=EXTREMES, c=EXTREMES)
def test_merge_is_associative(kind: type[Statistic], a: Any, b: Any, c: Any) -> None:
    x, y, z = (kind.of(observe(part)) for part in (a, b, c))
    assert alike(x.merge(y).merge(z), x.merge(y.merge(z)))


@EVERY_METHOD
@given(a=EXTREMES, b=EXTREMES)
def test_merge_is_commutative_where_it_says_so(kind: type[Statistic], a: Any, b: Any) -> None:
    x, y = kind.of(observe(a)), kind.of(observe(b))
    if kind.commutes:
        assert x.merge(y) == y.merge(x)
        assert json.dumps(x.merge(y).to_json()) == json.dumps(y.merge(x).to_json())


@EVERY_METHOD
@given(extremes=EXTREMES, cut=st.integers(0, 12))
def test_cutting_the_samples_changes_nothing(kind: type[Statistic], extremes: Any, cut: int) -> None:
    first, rest = kind.of(observe(extremes[:cut])), kind.of(observe(extremes[cut:]))
    assert alike(kind.of(observe(extremes)), first.merge(rest))


@EVERY_METHOD
@given(extremes=EXTREMES)
def test_json_gives_back_the_same_value(kind: type[Statistic], extremes: Any) -> None:
    statistic = kind.of(observe(extremes))
    text = json.dumps(statistic.to_json(), allow_nan=False)
    assert kind.from_json(json.loads(text)) == statistic


@EVERY_METHOD
@given(extremes=EXTREMES)
def test_the_range_is_finite_ordered_and_within_what_was_seen(kind: type[Statistic], extremes: Any) -> None:
    seen = [value for pair in extremes if pair is not None for value in pair]
    lo, hi = kind.of(observe(extremes)).range(SCHEME)
    slack = 1e-9 * max(map(abs, seen), default=0.0)  # averages round
    assert lo <= hi + slack
    assert min(seen, default=0.0) - slack <= lo
    assert hi <= max(seen, default=0.0) + slack


@EVERY_METHOD
@pytest.mark.parametrize(
    "damaged",
    [
        {},
        {"samples": 1},
        {"lo": 1, "hi": 0, "samples": 1},
        {"lo": 0, "hi": "x", "samples": 1},
        {"lo": 0, "hi": 1, "samples": -1},
        [],
    ],
)
def test_damaged_json_is_refused(kind: type[Statistic], damaged: Any) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        kind.from_json(damaged)
