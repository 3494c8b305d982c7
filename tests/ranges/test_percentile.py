from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qconv.errors import UsageError
from qconv.quant.types import UINT8, Scheme
from qconv.ranges.percentile import Percentile
from qconv.statistics.summary import Summary
from tests.statistics.strategies import ELEMENTS, Elements, bin_width

SCHEME = Scheme(UINT8)
PERCENTS = st.floats(50, 100).map(lambda percent: round(percent, 3))


@given(elements=ELEMENTS.filter(lambda e: e.size > 0), percent=PERCENTS)
def test_within_one_bin_of_the_exact_percentile(elements: Elements, percent: float) -> None:
    elements = np.where(np.abs(elements) < 2.0**-133, np.float32(0), elements)  # what counts as zero
    found = Summary.of(elements)
    lo, hi = Percentile(percent)(found, SCHEME)
    cut = int(elements.size * ((100_000 - round(percent * 1000)) / 200_000))
    ordered = np.sort(elements.astype(np.float64))
    exact_lo, exact_hi = ordered[cut], ordered[-1 - cut]
    assert exact_lo - bin_width(found, exact_lo) <= lo <= exact_lo
    assert exact_hi <= hi <= exact_hi + bin_width(found, exact_hi)


def test_zeros_count() -> None:
    elements = np.concatenate([np.zeros(9990), np.linspace(0.1, 1, 10)]).astype(np.float32)
    lo, hi = Percentile(99.8)(Summary.of(elements), SCHEME)
    assert lo == 0.0
    assert hi == 0.0


@pytest.mark.parametrize("percent", [0.0, -1.0, 100.1, float("nan")])
def test_bad_percentages(percent: float) -> None:
    with pytest.raises(UsageError, match="--percentile"):
        Percentile(percent)
