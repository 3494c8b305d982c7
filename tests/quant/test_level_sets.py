"""Sets of levels are what they are called, and codes are the nearest of them."""

from __future__ import annotations

import numpy as np
import pytest

from qconv.cli.options import KINDS as NAMES
from qconv.config import QuantConfig, Rule
from qconv.errors import UsageError
from qconv.quant.level_sets import KINDS, LARGEST, Kind, level_set, nearest_levels

WEIGHT = np.random.default_rng(0).standard_t(4, (16, 9))
SCALE = np.abs(WEIGHT).max(axis=1, keepdims=True) / LARGEST


def _levels(kind: Kind, bits: int = 8) -> list[int]:
    found = level_set(kind, bits, WEIGHT, SCALE)
    assert found is not None
    return [int(code) for code in found]


def test_sets_are_symmetric_and_known() -> None:
    assert _levels("ternary") == [-64, 0, 64]
    assert _levels("binary") == [-64, 64]
    assert _levels("powers", 3) == [-64, -32, -16, 0, 16, 32, 64]
    assert _levels("powers") == [-(2**k) for k in range(6, -1, -1)] + [0] + [2**k for k in range(7)]
    assert _levels("two-powers") == [code for code in range(-64, 65) if abs(code).bit_count() <= 2]
    assert level_set("uniform", 8, WEIGHT, SCALE) is None


@pytest.mark.parametrize("bits", [2, 3, 4, 6, 8])
def test_a_codebook_loses_less_than_even_levels(bits: int) -> None:
    found = np.asarray(_levels("codebook", bits))
    assert 2 <= len(found) <= 1 << min(bits, 6)
    assert 0 in found
    assert np.abs(found).max() <= LARGEST
    steps = WEIGHT / SCALE
    even = np.rint(np.linspace(-LARGEST, LARGEST, (1 << min(bits, 6)) - 1)).astype(np.int8)
    lost = [np.square(nearest_levels(steps, levels.astype(np.int8)) - steps).sum() for levels in (found, even)]
    assert lost[0] < lost[1]


def test_codes_are_the_nearest_levels() -> None:
    levels = np.asarray([-64, -3, 0, 10, 64], np.int8)
    steps = np.linspace(-80, 80, 1001)
    best = np.abs(steps[:, None] - levels).min(axis=1)
    assert np.array_equal(np.abs(nearest_levels(steps, levels) - steps), best)


def test_names_are_those_of_the_flag_and_others_are_refused() -> None:
    assert NAMES == KINDS
    for make in (lambda: QuantConfig(levels="cubes"), lambda: Rule("Conv", levels="cubes")):  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="--levels takes auto"):
            make()
    with pytest.raises(UsageError, match="levels are of mode static"):
        QuantConfig(levels="ternary", mode="weight-only")
