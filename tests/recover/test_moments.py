"""Second moments are exact, merge in any order to the same bytes, and give the squared error of any weights."""

from __future__ import annotations

import numpy as np
import pytest

from qconv.quant.types import UINT8, QuantParams
from qconv.recover.moments import Fit, Moments

STEP = 0.25


def _rows(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (2, count, 5), dtype=np.uint8)
    return x, rng.normal(size=(2, count, 3)).astype(np.float32) * 10


def test_sums_are_those_of_whole_numbers() -> None:
    x, y = _rows(3000, 0)
    found = Moments.of(x, y, STEP)
    rows, steps = x.astype(np.int64) - 128, np.rint(y.astype(np.float64) * 256 / STEP).astype(np.int64)
    assert np.array_equal(found.gram, np.einsum("grk,grj->gkj", rows, rows))
    assert np.array_equal(found.cross, np.einsum("grk,gro->gko", rows, steps))
    assert np.array_equal(found.power, (steps**2).sum(axis=1))


def test_signed_codes_are_summed_as_they_are() -> None:
    x, y = _rows(1500, 4)
    signed = (x.astype(np.int16) - 128).astype(np.int8)
    assert Moments.of(signed, y, STEP).gram.tobytes() == Moments.of(x, y, STEP).gram.tobytes()


def test_shards_merge_to_the_same_bytes_in_any_order() -> None:
    x, y = _rows(2500, 1)
    whole = Moments.of(x, y, STEP)
    shards = [Moments.of(x[:, start : start + 700], y[:, start : start + 700], STEP) for start in range(0, 2500, 700)]
    for order in ((0, 1, 2, 3), (3, 1, 0, 2)):
        merged = shards[order[0]]
        for index in order[1:]:
            merged += shards[index]
        assert merged.count == whole.count
        for name in ("gram", "cross", "x", "y", "power"):
            assert getattr(merged, name).tobytes() == getattr(whole, name).tobytes()


@pytest.mark.parametrize("has_bias", [True, False])
def test_the_loss_is_the_mean_squared_error(has_bias: bool) -> None:
    x, y = _rows(400, 2)
    params = QuantParams(np.asarray(0.03, np.float32), np.asarray(100), UINT8)
    fit = Fit.of(Moments.of(x, y, STEP), params, STEP, has_bias=has_bias)
    rng = np.random.default_rng(3)
    v, bias = rng.normal(size=(2, 5, 3)), rng.normal(size=(2, 3)) if has_bias else np.zeros((2, 3))
    reals = float(params.scale) * (x.astype(np.float64) - 100)
    steps = np.rint(y.astype(np.float64) * 256 / STEP) * STEP / 256
    expected = np.square(reals @ v + bias[:, None] - steps).mean(axis=1).sum()
    assert fit.loss(v, bias) == pytest.approx(expected, rel=1e-9)  # sums in another order
    if has_bias:
        assert fit.loss(v, fit.bias(v)) <= fit.loss(v, bias)
