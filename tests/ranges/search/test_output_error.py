from __future__ import annotations

import numpy as np
import pytest

from qconv.ranges.search.output_error import noise_of

ONE = np.array([[3.0, 4.0]], np.float32)


def test_by_hand() -> None:
    """|(3,4) - (3,0)|^2 / (25 + 9) for the one output, none for the other."""
    found, exact = [[np.array([[3.0, 0.0]]), ONE]], [[ONE, ONE]]
    assert noise_of(found, exact) == pytest.approx(16 / 34 / 2)


def test_it_is_the_mean_over_samples_whatever_their_size() -> None:
    assert noise_of([[ONE], [0 * ONE]], [[ONE], [1000 * ONE]]) == 0.5


def test_single_elements_count_by_their_size() -> None:
    """A tiny one that is off by all of itself does not matter beside a large one."""
    small, large = np.array([[1e-3]]), np.array([[1.0]])
    assert noise_of([[2 * small], [large]], [[small], [large]]) < 1e-6


def test_smaller_is_not_better() -> None:
    """Zeros are as bad as an output that has nothing in common; one that is too small by half is better than both."""
    turned = np.array([[4.0, -3.0]])
    assert noise_of([[0 * ONE]], [[ONE]]) == noise_of([[turned]], [[ONE]]) == 1.0
    assert noise_of([[ONE / 2]], [[ONE]]) == pytest.approx(0.2)


def test_what_is_not_finite_is_all_noise() -> None:
    assert noise_of([[ONE * np.nan]], [[ONE]]) == 1.0
    assert noise_of([[0 * ONE]], [[0 * ONE]]) == 0.0


def test_samples_of_differing_shape() -> None:
    shapes = [(1, 2), (1, 5)]
    arrays = [[np.ones(shape, np.float32)] for shape in shapes]
    assert noise_of(arrays, arrays) == 0.0
