"""Codes over copies of channels give the same sums, in int8 and without a pair that saturates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qconv.quant.copies import fits_int8, over_copies
from qconv.quant.saturation import KernelOrder, unsafe_pairs
from qconv.quant.types import IntArray


def _is_safe(codes: IntArray) -> bool:
    return not unsafe_pairs(KernelOrder((0, 1), 1, codes.shape[1]).rows(codes)).any()


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.sampled_from([7, 64, 127, 255]))
def test_sums_stay_what_they_were(seed: int, channels: int, largest: int) -> None:
    rng = np.random.default_rng(seed)
    codes, x = rng.integers(-largest, largest + 1, (3, channels)), rng.integers(0, 256, channels)
    copies = over_copies(codes, 1, _is_safe)
    assert copies.codes.dtype == np.int8
    assert _is_safe(copies.codes)
    read = np.concatenate([x[::stride] for stride in copies.strides])
    assert (copies.codes.astype(int) @ read == codes @ x).all()


@pytest.mark.parametrize(
    ("row", "strides"),
    [((64, 64), (1,)), ((127, -127), (1,)), ((127, 2), (1, 2)), ((127, 127, 1, 0), (1, 2)), ((127, 127, 127), (1, 1)),
     ((255, 255), (1, 1, 1, 1)), ((128, 0), (1, 2))],
)  # fmt: skip
def test_as_few_copies_as_are_needed(row: tuple[int, ...], strides: tuple[int, ...]) -> None:
    assert over_copies(np.asarray([row]), 1, _is_safe).strides == strides


def test_codes_of_nine_bits_are_not_of_eight() -> None:
    assert fits_int8(np.asarray([-128, 127]))
    assert not fits_int8(np.asarray([128]))
