from __future__ import annotations

import numpy as np
import pytest

from qconv.calibrate.methods.entropy import candidates, divergences, entropy
from qconv.calibrate.quantization_error import codes_of
from qconv.calibrate.summary import Summary
from qconv.quant.types import IntType, Scheme
from tests.calibrate.strategies import Elements

RNG = np.random.default_rng(0)
TENSORS = {
    "rectified": np.maximum(RNG.standard_normal(20_000), 0),
    "exponential": RNG.exponential(1.0, 20_000),
    "outlier": np.append(RNG.exponential(1.0, 20_000), 40.0),
    "negative": -RNG.exponential(1.0, 20_000),
    "normal": RNG.standard_normal(20_000),
    "skewed": RNG.gumbel(0, 1, 20_000),
}
BITS = pytest.mark.parametrize("bits", [8, 6, 4])


def by_hand(elements: Elements, summary: Summary, threshold: float, scheme: Scheme) -> float:
    """KL(P || Q), one bin after the other, from the elements; a clipped bin that is empty counts half an element in Q."""
    lo, hi = max(summary.lo, -threshold), min(summary.hi, threshold)
    nonzero = elements[elements != 0].astype(np.float64)
    bins = [(int(k), (k + 0.5) * summary.histogram.width) for k in np.unique(np.floor(nonzero / summary.histogram.width))]
    every = range(summary.histogram.first, summary.histogram.first + len(summary.histogram.counts))
    inner = [k for k in every if lo < (k + 0.5) * summary.histogram.width < hi]
    count = dict.fromkeys(inner, 0.0)
    clipped = dict.fromkeys(inner, 0.0)
    where = np.floor(nonzero / summary.histogram.width).astype(int)
    for k, _ in bins:
        number = float((where == k).sum())
        if k in count:
            count[k] += number
        else:
            clipped[inner[0] if k < inner[0] else inner[-1]] += number
    (scale,), (least,), (most,) = codes_of(np.array([lo]), np.array([hi]), scheme)
    code = {k: min(max(round((k + 0.5) * summary.histogram.width / scale), least), most) for k in inner}
    masses: dict[float, list[float]] = {}
    for k in inner:
        if count[k]:
            masses.setdefault(code[k], []).append(count[k])
    inside, total, result = sum(count.values()) + summary.zeros, float(elements.size), 0.0
    for k in inner:
        p = count[k] + clipped[k]
        if p:
            q = max(sum(masses[code[k]]) / len(masses[code[k]]) if count[k] else 0.0, 0.5)
            result += p / total * np.log((p / total) / (q / inside))
    if summary.zeros:
        result += summary.zeros / total * np.log((summary.zeros / total) / (summary.zeros / inside))
    return float(result)


@BITS
@pytest.mark.parametrize("name", TENSORS)
def test_within_a_bin_of_the_exhaustive_search(name: str, bits: int) -> None:
    elements = TENSORS[name].astype(np.float32)
    summary, scheme = Summary.of(elements), Scheme(IntType(bits, signed=False))
    thresholds = candidates(summary, scheme)
    exact = divergences(summary, thresholds, scheme)
    best = float(thresholds[exact.argmin()])
    lo, hi = entropy(summary, scheme)
    expected = max(summary.lo, -best), min(summary.hi, best)
    assert (lo, hi) == pytest.approx(expected, abs=summary.histogram.width)
    for index in np.linspace(0, len(thresholds) - 1, 5).astype(int):
        assert exact[index] == pytest.approx(by_hand(elements, summary, thresholds[index], scheme), rel=1e-9, abs=1e-12)


def test_an_outlier_is_clipped() -> None:
    elements = TENSORS["outlier"].astype(np.float32)
    assert entropy(Summary.of(elements), Scheme(IntType(8, signed=False)))[1] < 12


def test_thresholds_leave_no_code_without_a_bin() -> None:
    for name, elements in TENSORS.items():
        summary, scheme = Summary.of(elements.astype(np.float32)), Scheme(IntType(8, signed=False))
        narrowest = candidates(summary, scheme)[-1] / summary.histogram.width
        sides = 2 if name in ("normal", "skewed") else 1
        assert 256 <= sides * narrowest < 256 + 2
