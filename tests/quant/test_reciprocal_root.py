"""The reciprocal root of a row in int32: near the real one, and never beyond int32."""

from __future__ import annotations

import numpy as np
import pytest

from qconv.quant.reciprocal_root import LARGEST_EPSILON, ReciprocalRoot, reciprocal_root

SIZES = (1, 2, 3, 7, 64, 192, 384, 1024, 4096, 16_384, 65_536, 200_000)
SPREADS = (500.0, 2000.0, 6000.0)  # the squares of smaller entries than twice the root of a size are rounded away
INT32 = 2**31


def normalized(row: np.ndarray, size: int) -> np.ndarray:
    """What the int32 nodes compute of a row, in Python's own integers."""
    root = reciprocal_root(size)
    power = power_of(row, root)
    assert power + LARGEST_EPSILON < INT32
    reciprocal = int(root.table[place(power, root)])
    assert reciprocal < INT32
    most = (INT32 - 1) // reciprocal if root.cuts else INT32
    found = np.asarray([min(max(int(c), -most), most) * reciprocal for c in row], np.float64)
    assert np.abs(found).max(initial=0.0) <= root.largest < INT32
    return np.asarray(found / 2.0**root.bits)


def power_of(row: np.ndarray, root: ReciprocalRoot) -> int:
    squares = row.astype(np.int64) ** 2
    if root.blocks is None:
        return int(((squares + root.divisor // 2) // root.divisor).sum())
    sums = squares @ root.ones
    assert sums.max() < INT32
    return int((sums // root.divisor).sum())


def place(power: int, root: ReciprocalRoot) -> int:
    return min(power // int(step) + int(start) for step, start in zip(root.steps, root.starts, strict=True))


def test_each_square_has_an_entry_near_it() -> None:
    root = reciprocal_root(64)
    powers = sorted({max(1, near + d) for near in (2**k for k in range(30)) for d in (-1, 0, 1)} | {3 * 2**k for k in range(28)})
    for power in powers:
        entry = int(root.table[place(power, root)])
        # Half of the widest bucket, of 64 to its level, and the rounding of the entry itself.
        ratio = entry / 2**root.bits * (power * root.divisor / root.size) ** 0.5
        assert abs(ratio - 1) <= 1 / 256 + 0.5 / entry
    assert place(2**32 - 1, root) == len(root.table) - 1


@pytest.mark.parametrize(("size", "spread"), [(size, spread) for size in SIZES for spread in SPREADS if spread**2 > 4 * size])
def test_rows_are_divided_by_their_deviation(size: int, spread: float) -> None:
    entry = reciprocal_root(size).entry
    row = np.rint(np.random.default_rng(size).normal(size=size) * spread).clip(-entry, entry)
    row[0] = max(row[0], spread)
    right = row / np.sqrt(np.mean(row**2))
    # Half a bucket of 256 is 2 in a thousand of the square; small rows lose as much by the rounding of their squares. The largest
    # rows, of entries cut off on both sides, have reciprocals of 128, which are rounded by as much.
    assert np.abs(normalized(row, size) - right).max() <= (0.004 + 2 * 0.5 / 128) * np.abs(right).max()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("row", ["outlier", "equal", "zero", "one"])
def test_no_row_leaves_int32(size: int, row: str) -> None:
    entries, largest = np.zeros(size), reciprocal_root(size).entry
    if row == "equal":
        entries[:] = largest
    elif row != "zero":
        entries[-1] = -largest if row == "outlier" else 1
    normalized(entries, size)


def test_rows_that_are_too_long_are_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        reciprocal_root(1 << 40)
