"""A few scales in place of one for each channel."""

from __future__ import annotations

import numpy as np
import pytest

from qconv.quant.few_scales import MOST_SCALES, few_scales


@pytest.mark.parametrize("spread", [0.0, 0.1, 0.5, 2.0])
@pytest.mark.parametrize("channels", [1, 5, 64])
def test_scales_are_only_raised_and_few(spread: float, channels: int) -> None:
    scale = np.exp(spread * np.random.default_rng(channels).normal(size=channels)).astype(np.float32)
    found = few_scales(scale)
    assert (found >= scale).all() and len(np.unique(found)) <= MOST_SCALES
    assert set(found) <= set(scale)
    most = len(np.unique(found)) == MOST_SCALES
    assert most or float(found @ found) <= 1.25 * float(scale @ scale)


def test_one_scale_stays_where_it_costs_little() -> None:
    assert few_scales(np.asarray([1.0, 0.95, 0.9], np.float32)).tolist() == [1.0, 1.0, 1.0]
    unlike = np.asarray([0.1, 1.0, 0.1, 0.1], np.float32)
    assert np.array_equal(few_scales(unlike), unlike)


def test_channels_of_a_group_stay_together() -> None:
    scale = np.asarray([0.1, 4.0, 0.2, 0.1, 3.0, 0.1], np.float32)
    found = few_scales(scale, groups=3).reshape(3, 2)
    assert (found[:, 0] == found[:, 1]).all() and (found.reshape(-1) >= scale).all()
