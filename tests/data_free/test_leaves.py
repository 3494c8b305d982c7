from __future__ import annotations

import numpy as np
import pytest

from qconv.data_free.leaves import dead_leaves


def test_pictures_fill_the_range_and_no_more() -> None:
    pictures = [dead_leaves(np.random.default_rng([0, index]), 3, 48, 64) for index in range(60)]
    assert all(picture.shape == (3, 48, 64) and picture.dtype == np.float32 for picture in pictures)
    assert min(picture.min() for picture in pictures) == 0.0
    assert max(picture.max() for picture in pictures) == 1.0
    assert abs(np.mean(pictures) - 0.5) < 0.05  # gray levels are uniform; 60 pictures of a few dozen shapes
    assert abs(np.std(pictures) - 0.3) < 0.03


def test_gradients_have_heavy_tails_as_those_of_photographs() -> None:
    picture = dead_leaves(np.random.default_rng(1), 1, 128, 128)[0]
    steps = np.diff(picture, axis=1).astype(np.float64)
    assert np.mean(steps**4) / np.mean(steps**2) ** 2 > 8  # 3 for any Gaussian noise


@pytest.mark.parametrize("size", [(16, 16), (17, 300)])
@pytest.mark.parametrize("channels", [1, 3])
def test_all_sizes_work_and_equal_seeds_give_equal_pictures(size: tuple[int, int], channels: int) -> None:
    first, second = (dead_leaves(np.random.default_rng(3), channels, *size) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.shape == (channels, *size)
