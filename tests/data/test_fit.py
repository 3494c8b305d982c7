from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from qconv.data.fit import Cut, check_dtype, cut, match_names, to_feed
from qconv.data.source import InputInfo
from qconv.errors import DataError


def info(*shape: int | None, dtype: Any = np.float32) -> InputInfo:
    return InputInfo("x", np.dtype(dtype), shape)


@pytest.mark.parametrize(
    ("expected", "shape", "made"),
    [
        (info(None, 3, 8, 8), (10, 3, 8, 8), Cut(1, (1, 3, 8, 8), 10)),
        (info(1, 3, 8, 8), (10, 3, 8, 8), Cut(1, (1, 3, 8, 8), 10)),
        (info(4, 3, 8, 8), (10, 3, 8, 8), Cut(4, (4, 3, 8, 8), 2)),
        (info(4, 3, 8, 8), (4, 3, 8, 8), Cut(4, (4, 3, 8, 8), 1)),
        (info(None, 3, 8, 8), (10, 2, 3, 8, 8), Cut(1, (2, 3, 8, 8), 10)),
        (info(None, 3, None, None), (10, 3, 5, 7), Cut(1, (1, 3, 5, 7), 10)),
        (info(3, 8, 8), (10, 3, 8, 8), Cut(1, (3, 8, 8), 10)),
        (info(None, 3, 8, 8), (3, 8, 8), Cut(None, (1, 3, 8, 8), 1)),
        (info(2, 1, 16), (20, 1, 16), Cut(2, (2, 1, 16), 10)),
        (info(), (10,), Cut(1, (), 10)),
        (info(), (), Cut(None, (), 1)),
        (info(None), (10,), Cut(1, (1,), 10)),
        (replace(info(None, 1, 5), whole=True), (40, 1, 5), Cut(None, (40, 1, 5), 1)),
        (replace(info(None, 1, 5), whole=True), (7, 40, 1, 5), Cut(1, (40, 1, 5), 7)),
    ],
)
def test_rows_become_samples(expected: InputInfo, shape: tuple[int, ...], made: Cut) -> None:
    assert cut(expected, shape, "d.npz") == made


@pytest.mark.parametrize(
    ("expected", "shape"),
    [
        (info(None, 3, 8, 8), (10, 8, 8, 3)),
        (info(None, 3, 8, 8), (10, 3, 8, 9)),
        (info(4, 3, 8, 8), (3, 8, 8)),
        (info(None, 3, 8, 8), (10,)),
        (info(None, 3), ()),
    ],
)
def test_shapes_that_do_not_fit(expected: InputInfo, shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"array a has shape .* but input x \(float32\[.*needs \(n, ") as caught:
        cut(expected, shape, "array a")
    assert str(shape).removesuffix(",)").removesuffix(")") in str(caught.value)


@pytest.mark.parametrize(
    ("expected", "shape", "hint"),
    [
        (info(None, 3, 8, 9), (10, 8, 9, 3), "this is NHWC and the model takes NCHW: transpose with axes (0, 3, 1, 2)"),
        (info(None, 8, 9, 3), (10, 3, 8, 9), "this is NCHW and the model takes NHWC: transpose with axes (0, 2, 3, 1)"),
        (info(1, 3, None, None), (5, 7, 3), "this is NHWC and the model takes NCHW: transpose with axes (2, 0, 1)"),
        (info(1, None, None, 1), (10, 1, 8, 9), "this is NCHW and the model takes NHWC: transpose with axes (0, 2, 3, 1)"),
    ],
)
def test_a_transposed_layout_is_told(expected: InputInfo, shape: tuple[int, ...], hint: str) -> None:
    with pytest.raises(DataError, match=r"has shape .* but input x ") as caught:
        cut(expected, shape, "array a")
    assert str(caught.value).endswith(hint)


def test_sizes_that_differ_are_no_layout() -> None:
    with pytest.raises(DataError, match="put the samples on axis 0"):
        cut(info(None, 3, 8, 8), (10, 9, 9, 3), "array a")


def test_too_few_rows_for_a_batch() -> None:
    with pytest.raises(DataError, match=r"has 3 rows, but input x .* takes 4 rows"):
        cut(info(4, 3), (3, 3), "array a")
    with pytest.raises(DataError, match=r"has 0 rows, but input x .* takes at least one"):
        cut(info(None, 3), (0, 3), "array a")


@pytest.mark.parametrize(
    ("got", "expected"), [("f8", "f4"), ("f2", "f4"), ("f4", "f4"), ("u1", "i8"), ("i4", "i8"), (">f4", "<f4"), ("?", "?")]
)
def test_safe_types(got: str, expected: str) -> None:
    check_dtype(info(None, 3, dtype=expected), np.dtype(got), "array a")


@pytest.mark.parametrize(("got", "expected"), [("u1", "f4"), ("i8", "f4"), ("i8", "i4"), ("i4", "u8"), ("f4", "i8"), ("f4", "?")])
def test_unsafe_types(got: str, expected: str) -> None:
    with pytest.raises(DataError, match=f"array a is {np.dtype(got)}, but input x takes {np.dtype(expected)}"):
        check_dtype(info(None, 3, dtype=expected), np.dtype(got), "array a")


def test_feeds_are_native_contiguous_and_of_the_inputs_type() -> None:
    feed = to_feed(info(None, 2), np.array([[1, 2]], ">f8"), (1, 2), "d.npz[0]")
    assert feed.dtype == np.dtype("f4") and feed.dtype.isnative and feed.flags.c_contiguous
    assert feed.tolist() == [[1, 2]]


@pytest.mark.parametrize(("value", "what"), [(np.nan, "NaN"), (-np.inf, "Inf"), (1e300, "Inf")])
def test_values_that_are_not_finite(value: float, what: str) -> None:
    with pytest.raises(DataError, match=rf"sample d.npz\[7\] holds {what} in input x"):
        to_feed(info(None, 2), np.array([[1, value]]), (1, 2), "d.npz[7]")


def test_names() -> None:
    x, y = info(None, 2), InputInfo("y", np.dtype(np.float32), (None, 2))
    assert match_names(["anything"], [x], "d.npz") == {"x": "anything"}
    assert match_names(["y", "x", "more"], [x, y], "d.npz") == {"x": "x", "y": "y"}
    for names, inputs in ((["a", "b"], [x]), (["x"], [x, y]), ([], [x])):
        with pytest.raises(DataError, match=r"d\.npz has the arrays .* but the model's inputs are x"):
            match_names(names, inputs, "d.npz")
