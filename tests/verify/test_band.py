"""What varies in a tensor that lies on one side of zero."""

from __future__ import annotations

import numpy as np
import pytest

from qconv.verify.measure.band import BandMeter

X = np.random.default_rng(0).normal(0, 2, 1000)


@pytest.mark.parametrize("middle", [300.0, -40.0])
def test_the_mean_is_no_signal(middle: float) -> None:
    meter = BandMeter()
    for part in np.split(X + middle, 10):
        meter.add(part)
    signal = X + middle
    assert meter.db(50.0) == pytest.approx(50 + 10 * np.log10(np.var(X) / np.mean(signal**2)))  # rounding of float64


@pytest.mark.parametrize(
    "array", [X, np.abs(X) * 0, np.full(9, 7.0), np.zeros(0), np.arange(5), np.asarray([1.0, np.inf]), np.asarray([1.0, np.nan])]
)
def test_others_have_none(array: np.ndarray) -> None:
    meter = BandMeter()
    meter.add(array)
    assert meter.db(50.0) is None


def test_without_an_error_there_is_nothing_to_say() -> None:
    meter = BandMeter()
    meter.add(X + 300)
    assert meter.db(np.inf) is None
