"""Weights are recognised by their values, also when a batch norm was folded into them."""

from __future__ import annotations

import numpy as np
import pytest

from qconv.quant.pins import PinnedWeight, Pins
from qconv.quant.types import IntType, QuantParams

SCALE = np.array([0.5, 0.25, 0.125], np.float32)
CODES = np.array([[3, -4, 5], [0, 0, 0], [127, 1, -2]])
REALS = (CODES * SCALE[:, None]).astype(np.float32)
PINS = Pins(weights=[PinnedWeight("w", REALS, QuantParams(SCALE, np.zeros(3, np.int8), IntType(8, True), 0))])


@pytest.mark.parametrize("factors", [(1, 1, 1), (2, -3, 0.5), (2, 7, 0)])
def test_a_weight_with_factors_by_channel_keeps_its_codes(factors: tuple[float, ...]) -> None:
    """One channel is dead before, and the last factor makes one dead."""
    array = (REALS * np.array(factors)[:, None]).astype(np.float32)
    params = PINS.weight(array, 0)
    assert params is not None
    codes = np.rint(array / params.scale[:, None]).astype(int)
    assert np.array_equal(codes, CODES * np.sign(factors).astype(int)[:, None])


def test_another_weight_is_not_taken_for_it() -> None:
    array = REALS.copy()
    array[0, 0] += 0.1
    assert PINS.weight(array, 0) is None
