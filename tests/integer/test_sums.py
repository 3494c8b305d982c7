"""Exact sums of integer products in floating point, at the edge of what is exact."""

from __future__ import annotations

import numpy as np
import pytest

from qconv.integer.execution.kernels.sums import exact_type, largest_distance, shifted


@pytest.mark.parametrize(
    ("bound", "expected"), [(0, np.float32), ((1 << 24) - 1, np.float32), (1 << 24, np.float64), ((1 << 53) - 1, np.float64)]
)
def test_the_narrowest_exact_type(bound: int, expected: type[np.floating]) -> None:
    assert exact_type(bound) == expected


def test_beyond_float64_there_is_none() -> None:
    with pytest.raises(ValueError, match="not exact"):
        exact_type(1 << 53)


def test_a_matrix_product_at_the_bound_is_exact() -> None:
    """66,000 products of at most 254 stay just below 2^24."""
    rng = np.random.default_rng(0)
    a = rng.integers(-254, 255, (3, 66_000))
    b = rng.choice([-1, 1], (66_000, 4))
    bound = int(np.abs(b).sum(axis=0).max()) * 254
    dtype = exact_type(bound)
    assert dtype == np.float32
    assert np.array_equal(a.astype(dtype) @ b.astype(dtype), a @ b)


@pytest.mark.parametrize(("dtype", "zero_point", "expected"), [(np.uint8, 0, 255), (np.uint8, 200, 200), (np.int8, 0, 128)])
def test_the_largest_distance(dtype: type[np.integer], zero_point: int, expected: int) -> None:
    assert largest_distance(dtype, zero_point) == expected


def test_shifting_does_not_wrap_around() -> None:
    codes = np.array([0, 255], np.uint8)
    assert shifted(codes, 128, np.dtype(np.float32)).tolist() == [-128.0, 127.0]
