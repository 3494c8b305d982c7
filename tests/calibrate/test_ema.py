from __future__ import annotations

import numpy as np
import pytest

from qconv.calibrate.ema import MOMENTUM, Ema
from qconv.calibrate.statistics import Observation


def ema(hi: list[float]) -> Ema:
    return Ema.of(Observation(np.zeros(len(hi), np.float32), np.array(hi, np.float32)))


def test_average_by_hand() -> None:
    m = MOMENTUM
    expected = (m * m * 1 + m * 2 + 6) / (m * m + m + 1)
    assert ema([1, 2, 6]).hi == pytest.approx(expected, rel=1e-14)  # rounding of three float64 operations


def test_order_matters_and_it_says_so() -> None:
    assert not Ema.commutes
    assert ema([1, 5]).hi > ema([5, 1]).hi
    assert ema([1]).merge(ema([5])).hi > ema([5]).merge(ema([1])).hi


def test_the_first_sample_has_no_extra_weight() -> None:
    assert ema([100.0] + [1.0] * 400).hi < 1.1
