"""The laws, held by every method.

EMA alone depends on the order of the samples and on where one ends: it refuses to merge, and following on in order changes it by
no more than the rounding of float64. Where a law is not EMA's, its test says so.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from qconv.errors import UsageError
from qconv.quant.types import INT8, UINT8, IntType, Scheme
from qconv.ranges.methods import METHODS, Method
from qconv.statistics.averages import Averages
from qconv.statistics.observe import calibrate
from qconv.statistics.summary import Summary
from tests.networks import Listed, network
from tests.statistics.strategies import ELEMENTS, Elements, summary

SCHEMES = [
    Scheme(UINT8), Scheme(IntType(4, signed=False)), Scheme(IntType(2, signed=False)),
    Scheme(INT8, symmetric=True), Scheme(UINT8, symmetric=True),
]  # fmt: skip
SCHEME = st.sampled_from(SCHEMES)
EVERY_METHOD = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
EVERY_OTHER = pytest.mark.parametrize(
    "method", [m for m in METHODS.values() if m is not METHODS["ema"]], ids=METHODS.keys() - {"ema"}
)
SAMPLES = st.lists(ELEMENTS, max_size=3)


def averages(*samples: Elements) -> Averages:
    lo = np.array([s.min(initial=np.float32(np.inf)) for s in samples], np.float32)
    hi = np.array([s.max(initial=np.float32(-np.inf)) for s in samples], np.float32)
    return Averages.of(lo, hi)


def seen(*samples: Elements) -> Summary:
    """With moving averages, for the method that needs them."""
    return replace(summary(*samples), averages=averages(*samples))


@EVERY_METHOD
@settings(max_examples=30, deadline=None)
@given(samples=SAMPLES, scheme=SCHEME)
def test_ranges_are_ordered_and_within_what_was_seen(method: Method, samples: list[Elements], scheme: Scheme) -> None:
    found = seen(*samples)
    lo, hi = method(found, scheme)
    assert found.lo <= lo <= hi <= found.hi


@EVERY_OTHER
@settings(max_examples=20, deadline=None)
@given(samples=st.tuples(ELEMENTS, ELEMENTS, ELEMENTS), scheme=SCHEME)
def test_merging_is_associative_and_commutative(method: Method, samples: tuple[Elements, ...], scheme: Scheme) -> None:
    a, b, c = map(Summary.of, samples)
    expected = method(a.merge(b).merge(c), scheme)
    for other in (a.merge(b.merge(c)), b.merge(a).merge(c), c.merge(a).merge(b), c.merge(b.merge(a))):
        assert method(other, scheme) == expected


@EVERY_OTHER
@settings(max_examples=20, deadline=None)
@given(elements=ELEMENTS, cuts=st.lists(st.integers(0, 3000), max_size=4), seed=st.integers(0, 99), scheme=SCHEME)
def test_neither_cut_nor_order_shows(method: Method, elements: Elements, cuts: list[int], seed: int, scheme: Scheme) -> None:
    shuffled = np.random.default_rng(seed).permutation(elements)
    parts = np.split(shuffled, sorted(min(cut, elements.size) for cut in cuts))
    assert method(summary(*parts), scheme) == method(Summary.of(elements), scheme)


@settings(deadline=None)
@given(a=SAMPLES, b=SAMPLES)
def test_ema_refuses_to_merge(a: list[Elements], b: list[Elements]) -> None:
    with pytest.raises(UsageError, match="depend on the order"):
        seen(*a).merge(seen(*b))


@settings(deadline=None)
@given(a=SAMPLES, b=SAMPLES)
def test_ema_follows_on_in_order(a: list[Elements], b: list[Elements]) -> None:
    whole = seen(*a, *b)
    parts = replace(whole, averages=averages(*a).followed_by(averages(*b)))
    for scheme in SCHEMES:
        scale = max(abs(whole.lo), abs(whole.hi))
        assert METHODS["ema"](parts, scheme) == pytest.approx(METHODS["ema"](whole, scheme), abs=1e-14 * scale)


@EVERY_METHOD
@settings(max_examples=20, deadline=None)
@given(samples=SAMPLES, scheme=SCHEME)
def test_json_brings_back_the_same_range(method: Method, samples: list[Elements], scheme: Scheme) -> None:
    found = seen(*samples)
    text = json.dumps(found.to_json(), allow_nan=False)
    again = Summary.from_json(json.loads(text))
    assert (again, json.dumps(again.to_json())) == (found, text)
    assert method(again, scheme) == method(found, scheme)


@EVERY_METHOD
@settings(deadline=None)
@given(value=st.floats(width=32, allow_nan=False, allow_infinity=False), size=st.integers(1, 300), scheme=SCHEME)
def test_a_constant_has_its_own_range(method: Method, value: float, size: int, scheme: Scheme) -> None:
    assert method(seen(np.full(size, value, np.float32)), scheme) == (value, value)


@EVERY_METHOD
@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
@pytest.mark.parametrize("size", [0, 1, 1000])
@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_zeros_and_nothing_at_all(method: Method, scheme: Scheme, size: int, zero: float) -> None:
    assert method(seen(np.full(size, zero, np.float32)), scheme) == (0.0, 0.0)


@EVERY_METHOD
@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
@pytest.mark.parametrize("far", [1e3, -1e9, 3e38])
def test_one_huge_outlier(method: Method, scheme: Scheme, far: float) -> None:
    """It takes no resolution from the rest: zero stays inside, and what counts elements does not follow it at all."""
    elements = np.random.default_rng(0).laplace(size=50_000).astype(np.float32)
    elements[7] = far
    found = seen(elements)
    lo, hi = method(found, scheme)
    assert found.lo <= lo < 0 < hi <= found.hi
    if method in (METHODS["percentile"], METHODS["entropy"]):
        assert max(-lo, hi) < 20
    if method in (METHODS["minmax"], METHODS["ema"]):
        assert (lo, hi) == (found.lo, found.hi)


def calibrated(samples: Sequence[Elements], *, exact: bool = True, ema: bool = False) -> list[Summary]:
    """Of what a network computes from samples [L], each of its own L."""
    nodes = [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Exp", ["x"], ["y"])]
    model = network(nodes, {"x": ["L"]}, ["r", "y"])
    return list(calibrate(model, ["x", "r", "y"], Listed(samples), averages=ema, exact=exact, threads=1).values())


def ragged() -> list[Elements]:
    rng = np.random.default_rng(0)
    return [rng.laplace(rng.normal(), 2.0, size).astype(np.float32) for size in (1, 7000, 3, 64, 15000, 2, 320)]


@pytest.fixture(scope="module")
def alike() -> list[list[Summary]]:
    """Each a list of summaries of one range: samples in other orders; their elements cut into samples of other lengths."""
    samples = ragged()
    recut = [np.split(np.concatenate(samples), cuts) for cuts in ([], [1, 5, 6, 9000], range(1000, 22000, 1000))]
    orders = [[samples[i] for i in order] for order in (range(7), range(6, -1, -1), (2, 4, 0, 1, 6, 3, 5))]
    exact = [calibrated(other) for other in (*orders, *recut)]
    sampled = [calibrated(other, exact=False) for other in orders]
    return [list(same) for group in (exact, sampled) for same in zip(*group, strict=True)]


@EVERY_OTHER
@pytest.mark.parametrize("scheme", SCHEMES[::2], ids=str)
def test_ragged_samples(method: Method, scheme: Scheme, alike: list[list[Summary]]) -> None:
    for same in alike:
        assert len({method(found, scheme) for found in same}) == 1


def test_ragged_samples_of_ema() -> None:
    """The averages of what each sample holds, whatever its length; the order tells."""
    samples, ema, scheme = ragged(), METHODS["ema"], SCHEMES[0]
    found = ema(calibrated(samples, ema=True)[0], scheme)
    assert found == pytest.approx(ema(seen(*samples), scheme), rel=1e-12)  # the order of float64 sums
    assert ema(calibrated(samples[::-1], ema=True)[0], scheme) != pytest.approx(found, rel=1e-4)
