"""The addition of 64-bit ARM: figures worked out by hand, the bound of its distance from exact arithmetic, and proved scales."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qconv.quant.certify import certify_table
from qconv.quant.neon import neon_add_table
from qconv.quant.tables import add_table
from qconv.quant.types import INT8, UINT8, IntType, QuantParams


def _params(scale: float, zero_point: int, int_type: IntType = UINT8) -> QuantParams:
    return QuantParams(np.asarray(scale, np.float32), np.asarray(zero_point), int_type)


def test_halves_go_away_from_zero_before_the_zero_point() -> None:
    table = neon_add_table(_params(0.5, 128), _params(0.5, 128), _params(1.0, 101))
    # 1/2 + 0 -> 1, -1/2 + 0 -> -1, 3/2 -> 2, -3/2 -> -2
    assert [int(table[128 + a, 128]) - 101 for a in (1, -1, 3, -3)] == [1, -1, 2, -2]


@pytest.mark.parametrize(("ratio", "expected"), [(300.0, 255), (2.0**-15, 0)])
def test_ratios_beyond_its_multipliers_are_computed_in_float(ratio: float, expected: int) -> None:
    table = neon_add_table(_params(ratio, 0), _params(ratio, 0), _params(1.0, 0))
    assert table[255, 255] == expected
    assert table[0, 0] == 0


@given(st.floats(2.0**-10, 100.0), st.floats(2.0**-10, 100.0), st.booleans(), st.integers(-128, 127))
def test_it_is_within_a_code_of_exact_arithmetic(a: float, b: float, signed: bool, zero: int) -> None:
    kind = INT8 if signed else UINT8
    zero = zero if signed else zero + 128
    x, z, y = _params(a, zero, kind), _params(b, zero, kind), _params(1.0, zero, kind)
    assert np.abs(neon_add_table(x, z, y) - add_table(x, z, y)).max() <= 1


def test_a_scale_can_be_proved_for_it() -> None:
    a, b, y = _params(0.013, 3, INT8), _params(0.017, -9, INT8), _params(0.0211, 5, INT8)
    scale, certificate = certify_table(a, lambda a: add_table(a, b, y), lambda a: neon_add_table(a, b, y))
    assert certificate.proved == 1
    nudged = _params(float(scale), 3, INT8)
    assert np.array_equal(add_table(nudged, b, y), neon_add_table(nudged, b, y))
