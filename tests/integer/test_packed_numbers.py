from __future__ import annotations

import numpy as np
import pytest

from qconv.integer.packed_numbers import packed, unpacked
from qconv.quant.fixedpoint import Multiplier


@pytest.mark.parametrize("count", [0, 1, 8, 9, 100])
def test_there_and_back(count: int) -> None:
    scales = np.random.default_rng(count).uniform(1e-9, 1e3, count).astype(np.float32)
    multiplier = Multiplier.of(scales)
    for numbers, kind in ((multiplier.m0.tolist(), "m3"), (multiplier.n.tolist(), "i1"), ([float(x) for x in scales], "f4")):
        text = packed(numbers, kind)
        assert isinstance(text, str) == (count > 8)
        assert unpacked(text) == numbers


def test_what_does_not_fit_stays_a_list() -> None:
    assert packed([1] * 9, "m3") == [1] * 9
    assert packed([200] * 9, "i1") == [200] * 9
    assert packed(3, "f4") == 3


@pytest.mark.parametrize("text", ["x9:AAAA", "f4:A", "f4:!!!!", "m3:AAAAAA=="])
def test_damaged_text(text: str) -> None:
    with pytest.raises(ValueError):
        unpacked(text)
