from __future__ import annotations

import numpy as np
import pytest

from qconv.quant.types import UINT8, IntType, Scheme
from qconv.ranges.auto import CANDIDATES, HEAVY, auto, choose, tail
from qconv.ranges.choices import choice_of, range_of
from qconv.ranges.quantization_error import mean_squared_errors
from qconv.statistics.calibration import Calibration
from qconv.statistics.summary import Summary
from tests.statistics.strategies import Elements

RNG = np.random.default_rng(0)
SIZE = 100_000
UINT4 = Scheme(IntType(4, signed=False))


def summary(elements: object) -> Summary:
    return Summary.of(np.asarray(elements, np.float32))


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        (RNG.normal(3, 2, SIZE), np.sqrt(2 / np.pi)),
        (RNG.laplace(-1, 2, SIZE), np.sqrt(1 / 2)),
        (RNG.uniform(0, 1, SIZE), np.sqrt(3) / 2),
        (RNG.exponential(1, SIZE), 2 / np.e),
        (np.append(RNG.exponential(1, SIZE), np.zeros(SIZE)), 2 / np.e),
        (np.ones(9), 1.0),
    ],
    ids=["gauss", "laplace", "uniform", "exponential", "rectified", "constant"],
)
def test_tails_of_known_distributions(elements: Elements, expected: float) -> None:
    assert tail(summary(elements)) == pytest.approx(expected, rel=0.01)  # of samples


def test_light_tails_take_the_least_squared_error() -> None:
    found = summary(RNG.standard_normal(SIZE))
    assert tail(found) > HEAVY
    chosen = choose(found, UINT4)
    ranges = {name: method(found, UINT4) for name, method in CANDIDATES.items()}
    ends = [np.array([r[end] for r in ranges.values()]) for end in (0, 1)]
    errors = dict(zip(ranges, mean_squared_errors(found, ends[0], ends[1], UINT4), strict=True))
    assert errors[chosen.method] == min(errors.values())
    assert chosen.range == ranges[chosen.method]


def test_heavy_tails_take_entropy() -> None:
    found = summary(RNG.standard_normal(SIZE) * np.where(RNG.random(SIZE) < 0.02, 30, 1))
    assert tail(found) < HEAVY
    assert choose(found, UINT4).method == "entropy"


@pytest.mark.parametrize("factor", [2, 12])
def test_min_max_stands_at_8_bits_up_to_16_times_the_width(factor: float) -> None:
    found = summary(np.append(np.clip(RNG.normal(0, 1, SIZE), -3, 3), 6.0 * factor - 3))
    assert choose(found, Scheme(UINT8)).method == "minmax"
    assert choose(found, UINT4).method != "minmax"


def test_a_gross_outlier_is_clipped_at_8_bits_too() -> None:
    for far in (1e3, 1e6, 1e9):
        assert auto(summary(np.append(RNG.standard_normal(SIZE), far)), Scheme(UINT8))[1] < 6


def test_what_is_nearly_always_zero_keeps_the_rest() -> None:
    found = summary(np.append(np.zeros(SIZE * 10), RNG.normal(0, 1, 20)))
    assert choose(found, UINT4).method == "minmax"


def test_what_is_kept_has_its_extremes() -> None:
    found = summary(RNG.laplace(0, 1, SIZE))
    calibration = Calibration("", "auto", 1, "", None, {"inner": found, "logits": found})
    choice = choice_of(calibration, UINT4, keep={"logits"})
    logits, inner = choice("logits"), choice("inner")
    assert logits is not None and inner is not None and choice("nowhere") is None
    assert (logits.method, logits.range) == ("minmax", (found.lo, found.hi))
    assert inner.method != "minmax"
    assert range_of(calibration, UINT4, keep={"logits"})("inner") == inner.range
