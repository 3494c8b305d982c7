"""Sums of two scales that are nearly in a simple ratio are proved, with scales that are in that ratio."""

from __future__ import annotations

import numpy as np
import pytest

from qconv.quant.operand_pairs import certified_sum
from qconv.quant.tables import ORT_ADD_FORMS, add_table
from qconv.quant.types import IntType, QuantParams

U8 = IntType(8, signed=False, narrow=False)
NEARLY = 1 + 3e-5  # the scales of seven sums in eight could not be proved so near to a ratio


def params(scale: float, zero_point: int) -> QuantParams:
    return QuantParams(np.asarray(scale, np.float32), np.asarray(zero_point, np.uint8), U8, None)


@pytest.mark.parametrize(("left", "right"), [(0.5, 0.5), (0.25, 0.25)])
def test_a_ratio_that_is_nearly_simple_becomes_simple(left: float, right: float) -> None:
    y = params(0.0313, 145)
    found = certified_sum(params(left * 0.0313, 117), params(right * 0.0313 * NEARLY, 145), y, adds_in_integers=False)
    assert found.certificate.proved == 1
    assert found.b.scale / found.a.scale == pytest.approx(right / left, rel=1e-7)
    ours = add_table(found.a, found.b, y)
    assert all(np.array_equal(ours, form(found.a, found.b, y)) for form in ORT_ADD_FORMS)


@pytest.mark.parametrize(("left", "right"), [(0.0171, 0.0237), (0.5 * 0.0313, 0.0313 * NEARLY)])
def test_a_ratio_with_which_a_sum_is_proved_stays(left: float, right: float) -> None:
    y = params(0.0313, 145)
    found = certified_sum(params(left, 117), params(right, 145), y, adds_in_integers=False)
    assert found.certificate.proved == 1
    assert found.b.scale / found.a.scale == pytest.approx(right / left, rel=1e-6)
