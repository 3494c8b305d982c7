from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from qconv.statistics import histogram_bank as module
from qconv.statistics.averages import Averages
from qconv.statistics.histogram_bank import HistogramBank
from qconv.statistics.summary import Summary
from tests.statistics.strategies import ELEMENTS, Elements, summary

SAMPLES = st.lists(st.tuples(ELEMENTS, ELEMENTS, ELEMENTS), min_size=1, max_size=6)


def tally_of(samples: Sequence[tuple[Elements, ...]], *, averages: bool = False) -> dict[str, Summary]:
    tally = HistogramBank(["a", "b", "c"], averages=averages)
    for tensors in samples:
        lo = np.array([t.min(initial=np.float32(np.inf)) for t in tensors])
        hi = np.array([t.max(initial=np.float32(-np.inf)) for t in tensors])
        tally.add(lo, hi, np.concatenate(tensors), np.array([t.size for t in tensors], np.int64))
    return tally.summaries()


@given(samples=SAMPLES)
def test_it_is_the_merge_of_all_samples(samples: list[tuple[Elements, ...]]) -> None:
    expected = {name: summary(*(tensors[i] for tensors in samples)) for i, name in enumerate("abc")}
    assert tally_of(samples) == expected


@given(samples=SAMPLES)
def test_buffers_do_not_show(samples: list[tuple[Elements, ...]]) -> None:
    expected, size = tally_of(samples), module._ELEMENTS
    module._ELEMENTS = 1
    try:
        assert tally_of(samples) == expected
    finally:
        module._ELEMENTS = size


def test_averages_where_they_are_asked_for() -> None:
    ones = np.ones(5, np.float32)
    samples = [(ones * i, -ones * i, ones[:0]) for i in range(1, 130)]
    found = tally_of(samples, averages=True)
    expected = Averages.of(np.arange(1, 130, dtype=np.float32), np.arange(1, 130, dtype=np.float32))
    assert found["a"].averages is not None
    np.testing.assert_allclose(found["a"].averages.hi, expected.hi, rtol=1e-12)  # the order of float64 sums
    assert found["c"].averages == Averages(0.0, 0.0, 0)
    assert tally_of(samples)["a"].averages is None
