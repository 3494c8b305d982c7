"""More clipping never widens a range.

What asks for more clipping is the percentage to a percentile, and to methods that weigh rounding against clipping, fewer bits.
Percentile and ACIQ keep the law for every tensor at both ends (ACIQ: from its formula, which is monotone in the number of bits).
Min-max and EMA take no such parameter, and bits must not show.

MSE and entropy find the minimum of clip(t) + round(t, bits). Were rounding a constant times (t / 2^bits)^2, a minimum would move
inwards as bits fall. It is so where steps are small against the features of the density, not where a step holds most elements
(at 2 bits, or with an outlier: there, what lies next to zero costs nothing or everything), nor for each end apart, because both
share one scale and a zero point that is rounded. So the law is held on the width, for densities of one hump: exactly, from each
number of bits to the next. They are quantiles, not random samples: entropy compares what is clipped with the count of the
outermost bin, and in 20,000 random elements that is a matter of chance (its thresholds then go up by as much as a quarter).
"""

from __future__ import annotations

from itertools import pairwise
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qconv.quant.types import IntType, Scheme
from qconv.ranges.methods import METHODS
from qconv.ranges.percentile import Percentile
from qconv.statistics.summary import Range, Summary
from tests.ranges.test_laws import seen
from tests.statistics.strategies import ELEMENTS, Elements

SIZE = 100_000
U = (np.arange(SIZE) + 0.5) / SIZE
NORMAL = np.array([NormalDist().inv_cdf(u) for u in U])
DENSITIES = {
    "normal": NORMAL,
    "laplace": np.sign(U - 0.5) * -np.log1p(-np.abs(2 * U - 1)),
    "logistic": np.log(U / (1 - U)),
    "student": (2 * U - 1) / np.sqrt(2 * U * (1 - U)),
    "skewed": -np.log(-np.log(U)),
    "uniform": 3 * U - 1,
    "rectified": np.maximum(NORMAL, 0),
    "exponential": -np.log(U),
    "negative": np.log(U),
    "clamped": np.clip(NORMAL + 1, 0, 2),
}
SUMMARIES = {name: Summary.of(values.astype(np.float32)) for name, values in DENSITIES.items()}
PERCENTS = st.floats(50, 100).map(lambda percent: round(percent, 3))
SYMMETRIC = pytest.mark.parametrize("symmetric", [False, True], ids=["affine", "symmetric"])


def schemes(symmetric: bool, fewest: int) -> list[Scheme]:
    return [Scheme(IntType(bits, signed=symmetric), symmetric=symmetric) for bits in range(8, fewest - 1, -1)]


def covered(found: Range, symmetric: bool) -> float:
    """The width of what the codes cover, zero included."""
    lo, hi = min(found[0], 0.0), max(found[1], 0.0)
    return max(-lo, hi) if symmetric else hi - lo


@settings(deadline=None)
@given(elements=ELEMENTS, a=PERCENTS, b=PERCENTS)
def test_percentile(elements: Elements, a: float, b: float) -> None:
    found, scheme = Summary.of(elements), schemes(False, 8)[0]
    narrow, wide = Percentile(min(a, b))(found, scheme), Percentile(max(a, b))(found, scheme)
    assert wide[0] <= narrow[0] <= narrow[1] <= wide[1]


@SYMMETRIC
@settings(deadline=None)
@given(elements=ELEMENTS)
def test_aciq(elements: Elements, symmetric: bool) -> None:
    found = Summary.of(elements)
    for wide, narrow in pairwise(METHODS["aciq"](found, scheme) for scheme in schemes(symmetric, 2)):
        assert wide[0] <= narrow[0] <= narrow[1] <= wide[1]


@pytest.mark.parametrize("name", ["minmax", "ema", "percentile"])
@SYMMETRIC
@settings(deadline=None)
@given(elements=ELEMENTS)
def test_what_does_not_weigh_rounding_does_not_know_of_bits(name: str, elements: Elements, symmetric: bool) -> None:
    found = seen(elements, elements[::2])
    assert len({METHODS[name](found, scheme) for scheme in schemes(symmetric, 2)}) == 1


@SYMMETRIC
@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize(("name", "fewest"), [("mse", 2), ("entropy", 4), ("auto", 4)])
def test_fewer_bits(name: str, fewest: int, density: str, symmetric: bool) -> None:
    found = SUMMARIES[density]
    widths = [covered(METHODS[name](found, scheme), symmetric) for scheme in schemes(symmetric, fewest)]
    assert widths == sorted(widths, reverse=True)
    if density not in ("uniform", "clamped"):  # which nobody has to clip
        assert widths[-1] < 0.95 * widths[0]
