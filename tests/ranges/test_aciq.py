from __future__ import annotations

import numpy as np
import pytest

from qconv.quant.types import IntType, Scheme
from qconv.ranges.aciq import aciq, clipping_point
from qconv.statistics.summary import Summary
from tests.statistics.strategies import Elements

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("bits", "laplace", "gauss"), [(2, 2.83, 1.71), (3, 3.89, 2.15), (4, 5.03, 2.55)])
def test_the_constants_of_the_paper(bits: int, laplace: float, gauss: float) -> None:
    """Section 3 and its appendix print two decimals."""
    assert clipping_point(1.0, np.sqrt(2), bits, one_sided=False) == pytest.approx(laplace, abs=0.01)
    assert clipping_point(np.sqrt(2 / np.pi), 1.0, bits, one_sided=False) == pytest.approx(gauss, abs=0.01)


@pytest.mark.parametrize("bits", range(2, 8))
def test_one_side_is_worth_a_bit(bits: int) -> None:
    assert clipping_point(1.0, 2.0, bits, one_sided=True) == clipping_point(1.0, 2.0, bits + 1, one_sided=False)


@pytest.mark.parametrize("bits", [4, 6])
@pytest.mark.parametrize("draw", [RNG.laplace, RNG.normal], ids=["laplace", "gauss"])
def test_it_is_the_best_clipping_of_its_distribution(bits: int, draw: object) -> None:
    assert callable(draw)
    elements: Elements = draw(0.5, 2.0, 400_000).astype(np.float32)
    lo, hi = aciq(Summary.of(elements), Scheme(IntType(bits, signed=False)))

    def error(reach: float) -> float:
        """Rounding noise of 2^bits evenly spread levels, and clipping, as in the paper."""
        beyond = np.maximum(np.abs(elements.astype(np.float64) - 0.5) - reach, 0.0)
        return float(np.square(beyond).mean()) + float(2 * reach / 2**bits) ** 2 / 12

    reaches = np.linspace(2, 24, 400)
    best = reaches[np.argmin([error(reach) for reach in reaches])]
    assert (hi - lo) / 2 == pytest.approx(best, rel=0.06)  # the minimum is flat, and its place in a sample uncertain


def test_what_a_relu_cut_off_does_not_count() -> None:
    half = np.maximum(RNG.standard_normal(100_000), 0).astype(np.float32)
    more_zeros = np.append(half, np.zeros(500_000, np.float32))
    scheme = Scheme(IntType(4, signed=False))
    assert aciq(Summary.of(half), scheme) == aciq(Summary.of(more_zeros), scheme)
