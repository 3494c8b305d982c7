from __future__ import annotations

import numpy as np
import pytest

from qconv.quant.types import IntType, Scheme
from qconv.ranges.entropy import candidates, divergences, entropy
from qconv.statistics.summary import Summary
from tests.ranges.oracles import Bins, divergence
from tests.ranges.tensors import BITS, ONE_SIDED, TWO_SIDED
from tests.statistics.strategies import bin_width

TENSORS = ONE_SIDED | TWO_SIDED


@BITS
@pytest.mark.parametrize("name", TENSORS)
def test_running_sums_give_the_sum_that_defines_it(name: str, bits: int) -> None:
    elements = TENSORS[name].astype(np.float32)
    summary, scheme = Summary.of(elements), Scheme(IntType(bits, signed=False))
    thresholds = candidates(summary, scheme)
    thresholds = thresholds[np.linspace(0, len(thresholds) - 1, 20).astype(int)]
    bins, found = Bins(elements), divergences(summary, thresholds, scheme)
    expected = [divergence(bins, elements, float(threshold), bits, False) for threshold in thresholds]
    # Where the middle of a bin is exactly half-way between two codes, it may count to either; that is seldom.
    assert np.isclose(found, expected, rtol=1e-9, atol=1e-12).mean() >= 0.8
    assert found == pytest.approx(expected, rel=0.02, abs=0.002)


def test_an_outlier_is_clipped() -> None:
    elements = TENSORS["outlier"].astype(np.float32)
    assert entropy(Summary.of(elements), Scheme(IntType(8, signed=False)))[1] < 12


@pytest.mark.parametrize("size", [500, 4000, 50_000])
def test_few_samples_are_no_reason_to_clip(size: int) -> None:
    """An even spread needs no clipping at all, and 8 bits lose next to nothing of a half of a bell."""
    rng = np.random.default_rng(size)
    for elements, kept in ((rng.random(size), 0.99), (np.abs(rng.standard_normal(size)), 0.6)):
        values = elements.astype(np.float32)
        assert entropy(Summary.of(values), Scheme(IntType(8, signed=False)))[1] >= kept * values.max()


@pytest.mark.parametrize("far", [1e2, 1e4, 1e9])
def test_how_far_out_an_outlier_is_does_not_matter(far: float) -> None:
    bulk = TENSORS["exponential"]
    thresholds = [
        entropy(Summary.of(np.append(bulk, value).astype(np.float32)), Scheme(IntType(8, signed=False)))[1]
        for value in (20.0, far)
    ]
    assert thresholds[1] == pytest.approx(thresholds[0], rel=0.2)  # bins and codes lie differently


def test_thresholds_keep_half_of_the_elements() -> None:
    for elements in TENSORS.values():
        summary = Summary.of(elements.astype(np.float32))
        narrowest = candidates(summary, Scheme(IntType(8, signed=False)))[-1]
        nonzero = np.abs(elements[elements != 0])
        assert np.mean(nonzero < narrowest) >= 0.5
        assert np.mean(nonzero < narrowest - 2 * bin_width(summary, narrowest)) < 0.55
