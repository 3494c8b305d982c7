"""The laws of methods, held by every one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qconv.calibrate.averages import Averages
from qconv.calibrate.methods import METHODS, Method, method_named
from qconv.calibrate.summary import Summary
from qconv.errors import ArtifactError, UsageError
from qconv.quant.types import INT8, UINT8, IntType, Scheme
from tests.calibrate.strategies import ELEMENTS, Elements, summary

SCHEMES = [Scheme(UINT8), Scheme(IntType(4, signed=False)), Scheme(INT8, symmetric=True), Scheme(UINT8, symmetric=True)]
EVERY_METHOD = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


def seen(*samples: Elements) -> Summary:
    """With moving averages, for the method that needs them."""
    lo = np.array([s.min(initial=np.float32(np.inf)) for s in samples])
    hi = np.array([s.max(initial=np.float32(-np.inf)) for s in samples])
    return replace(summary(*samples), averages=Averages.of(lo, hi))


@EVERY_METHOD
@settings(max_examples=40, deadline=None)
@given(samples=st.lists(ELEMENTS, max_size=3), scheme=st.sampled_from(SCHEMES))
def test_ranges_are_ordered_and_within_what_was_seen(method: Method, samples: list[Elements], scheme: Scheme) -> None:
    found = seen(*samples)
    lo, hi = method(found, scheme)
    assert found.lo <= lo <= hi <= found.hi


@EVERY_METHOD
@settings(max_examples=20, deadline=None)
@given(a=ELEMENTS, b=ELEMENTS, scheme=st.sampled_from(SCHEMES))
def test_ranges_do_not_depend_on_the_order_or_the_cut(method: Method, a: Elements, b: Elements, scheme: Scheme) -> None:
    if method is METHODS["ema"]:
        return
    one, other = summary(a, b), summary(b, a[: a.size // 2], a[a.size // 2 :])
    assert method(one, scheme) == method(other, scheme)


@EVERY_METHOD
@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
@pytest.mark.parametrize("value", [0.0, 3.7, -2.5])
def test_a_constant_has_its_own_range(method: Method, scheme: Scheme, value: float) -> None:
    found = seen(np.full(100, value, np.float32))
    assert method(found, scheme) == (found.lo, found.hi) == (float(np.float32(value)),) * 2


@EVERY_METHOD
def test_a_tensor_without_elements(method: Method) -> None:
    assert method(seen(), SCHEMES[0]) == (0.0, 0.0)


@EVERY_METHOD
@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_one_huge_outlier(method: Method, scheme: Scheme) -> None:
    """Whatever a method makes of it, the range stays sound, and the JSON brings back the same."""
    elements = np.random.default_rng(0).standard_normal(100_000).astype(np.float32)
    elements[7] = 1e9
    found = seen(elements)
    lo, hi = method(found, scheme)
    assert found.lo <= lo <= 0 < hi <= np.float32(1e9)
    assert method(Summary.from_json(found.to_json()), scheme) == (lo, hi)


def test_names() -> None:
    assert list(METHODS) == sorted(METHODS)
    assert method_named("mse") is METHODS["mse"]
    assert method_named("percentile", 99.0) != METHODS["percentile"]


def test_unknown_method_lists_the_known() -> None:
    with pytest.raises(UsageError, match=r"'median'; choose one of .*minmax"):
        method_named("median")


def test_ema_needs_averages() -> None:
    with pytest.raises(ArtifactError, match="calibrate --method ema"):
        METHODS["ema"](summary(), SCHEMES[0])
