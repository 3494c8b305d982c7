from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from qconv.calibrate.methods.entropy import candidates, divergences, entropy
from qconv.calibrate.quantization_error import codes_of
from qconv.calibrate.summary import Summary
from qconv.quant.types import IntType, Scheme
from tests.calibrate.strategies import Elements, bin_width

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
    edges = summary.histogram.edges
    bins = list(pairwise(edges.tolist()))
    outward = np.where(nonzero < 0, np.searchsorted(edges, nonzero), np.searchsorted(edges, nonzero, side="right"))
    numbers = np.bincount(outward - 1, minlength=len(bins)).astype(float).tolist()
    inner = [k for k, (low, high) in enumerate(bins) if lo < (low + high) / 2 < hi]
    count = {k: numbers[k] for k in inner}
    clipped = dict.fromkeys(inner, 0.0)
    clipped[inner[0]] += sum(numbers[: inner[0]])
    clipped[inner[-1]] += sum(numbers[inner[-1] + 1 :])
    (scale,), (least,), (most,) = codes_of(np.array([lo]), np.array([hi]), scheme)
    code = {k: min(max(round(sum(bins[k]) / 2 / scale), least), most) for k in inner}
    masses: dict[float, list[tuple[float, float]]] = {}
    for k in inner:
        if count[k]:
            masses.setdefault(code[k], []).append((count[k], bins[k][1] - bins[k][0]))
    inside, total, result = sum(count.values()) + summary.zeros, float(elements.size), 0.0
    for k in inner:
        p = count[k] + clipped[k]
        if p:
            mass, width = (sum(part) for part in zip(*masses[code[k]], strict=True)) if count[k] else (0.0, 1.0)
            q = max(mass * (bins[k][1] - bins[k][0]) / width, 0.5)
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
    assert (lo, hi) == pytest.approx(expected, abs=bin_width(summary, best))
    for index in np.linspace(0, len(thresholds) - 1, 5).astype(int):
        assert exact[index] == pytest.approx(by_hand(elements, summary, thresholds[index], scheme), rel=1e-9, abs=1e-12)


def test_an_outlier_is_clipped() -> None:
    elements = TENSORS["outlier"].astype(np.float32)
    assert entropy(Summary.of(elements), Scheme(IntType(8, signed=False)))[1] < 12


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
