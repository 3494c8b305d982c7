from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qconv.errors import UsageError
from qconv.statistics.averages import Averages
from qconv.statistics.summary import Summary
from tests.statistics.strategies import ELEMENTS, Elements, summary

NORMAL = np.random.default_rng(0).standard_normal(5000).astype(np.float32)


@given(a=ELEMENTS, b=ELEMENTS, c=ELEMENTS)
def test_merge_is_associative(a: Elements, b: Elements, c: Elements) -> None:
    x, y, z = map(Summary.of, (a, b, c))
    assert x.merge(y).merge(z) == x.merge(y.merge(z))


@given(a=ELEMENTS, b=ELEMENTS)
def test_merge_is_commutative(a: Elements, b: Elements) -> None:
    x, y = Summary.of(a), Summary.of(b)
    assert x.merge(y) == y.merge(x)
    assert json.dumps(x.merge(y).to_json()) == json.dumps(y.merge(x).to_json())


@given(elements=ELEMENTS, cuts=st.lists(st.integers(0, 3000), max_size=4))
def test_cutting_the_elements_changes_nothing_but_the_number_of_samples(elements: Elements, cuts: list[int]) -> None:
    parts = summary(*np.split(elements, sorted(min(cut, elements.size) for cut in cuts)))
    whole = Summary.of(elements)
    assert replace(parts, samples=whole.samples) == whole


@given(elements=ELEMENTS, seed=st.integers(0, 1000))
def test_the_order_of_the_elements_changes_nothing(elements: Elements, seed: int) -> None:
    assert Summary.of(np.random.default_rng(seed).permutation(elements)) == Summary.of(elements)


@given(elements=ELEMENTS)
def test_it_counts_what_is_there(elements: Elements) -> None:
    found = Summary.of(elements)
    assert found.elements == elements.size
    assert found.zeros == np.count_nonzero(np.abs(elements) < 2.0**-133)
    if elements.size:
        assert (found.lo, found.hi) == (elements.min(), elements.max())
    edges, counts = found.histogram.edges, found.histogram.counts
    for side in (1, -1):  # bins are closed towards zero
        inside = side * elements[side * elements > 0].astype(np.float64)
        own = np.sort(side * edges[side * edges > 0])
        if inside.size:
            filled = counts[edges[:-1] > 0] if side > 0 else counts[edges[1:] < 0][::-1]
            assert filled.tolist() == np.histogram(inside, bins=own)[0].tolist()


@given(elements=ELEMENTS)
def test_json_gives_back_the_same_value(elements: Elements) -> None:
    found = Summary.of(elements)
    assert Summary.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False))) == found


def test_moments() -> None:
    found = Summary.of(NORMAL)
    width = found.histogram.widths.max()
    assert found.mean == pytest.approx(NORMAL.mean(), abs=width / 2)
    assert found.variance == pytest.approx(NORMAL.var(), abs=width * 2)
    assert found.deviation == pytest.approx(np.abs(NORMAL - NORMAL.mean()).mean(), abs=width)
    assert Summary.of(NORMAL[:0]).mean == 0.0


def test_moving_averages_refuse_to_merge() -> None:
    plain = Summary.of(NORMAL)
    ordered = replace(plain, averages=Averages(0.0, 1.0, 1))
    for pair in ((plain, ordered), (ordered, plain)):
        with pytest.raises(UsageError, match="depend on the order"):
            pair[0].merge(pair[1])
    assert Summary.from_json(ordered.to_json()) == ordered


GOOD: dict[str, Any] = Summary.of(np.array([-1, 0, 0.5, 2], np.float32)).to_json()


@pytest.mark.parametrize(
    "damage",
    [
        {"samples": -1}, {"samples": 1.0}, {"zeros": "x"}, {"lo": 3.0}, {"hi": float("nan")}, {"lo": "low"},
        {"counts": [1, 2, 0]},
        {"counts": [0.5]}, {"counts": 7}, {"counts": [1] * 3000},
            {"bins": None}, {"bins": [10**6, 1]}, {"bins": [1, -1]}, {"exponent": 3},
        {"exponent": 1 << 40}, {"averages": {}},
    ],
)  # fmt: skip
def test_damaged_json_is_refused(damage: dict[str, Any]) -> None:
    Summary.from_json(GOOD)
    with pytest.raises((KeyError, TypeError, ValueError)):
        Summary.from_json({**GOOD, **damage})
