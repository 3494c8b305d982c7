"""QLinearSoftmax, the kernel that is float inside: equal to onnxruntime on every element all the same."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import DTypeLike

from tests.integer.onenode import assert_equal, codes, f32, one_node, zero

MS = "com.microsoft"
ENDS = {np.uint8: 0, np.int8: -128}


@pytest.mark.parametrize("dtype", ENDS)
@pytest.mark.parametrize("length", [2, 3, 10, 17, 100, 257, 1000])
@pytest.mark.parametrize("x_scale", [0.0005, 0.01, 0.047, 0.1, 0.33, 1.0])
def test_rows_of_all_lengths_and_scales(length: int, x_scale: float, dtype: type[np.integer]) -> None:
    rng = np.random.default_rng(length)
    peaked = (rng.normal(0, 20, (6, length)) + 64).clip(0, 127).astype(dtype)
    x = np.concatenate([codes(rng, (6, length), dtype), peaked, np.full((1, length), 5, dtype)])
    inputs = [x, f32(x_scale), zero(5, dtype), f32(1 / 256), zero(ENDS[dtype], dtype)]
    assert_equal(*one_node("QLinearSoftmax", inputs, domain=MS, attributes={"opset": 13, "axis": -1}, outputs=[dtype]))


@pytest.mark.parametrize("opset", [12, 13])
@pytest.mark.parametrize("axis", [0, 1, 2, 3, -2])
def test_axes(axis: int, opset: int) -> None:
    x = codes(np.random.default_rng(0), (2, 3, 4, 5))
    inputs = [x, f32(0.02), zero(5), f32(1 / 256), zero(0)]
    assert_equal(*one_node("QLinearSoftmax", inputs, domain=MS, attributes={"opset": opset, "axis": axis}))


@pytest.mark.parametrize("length", [1, 2, 6, 40])
@pytest.mark.parametrize("y_scale", [1 / 256, 0.004, 0.0123, 1 / 1023, 1 / 8192])
def test_other_output_scales_use_a_truncated_reciprocal(y_scale: float, length: int) -> None:
    x = codes(np.random.default_rng(0), (5, length))
    inputs = [x, f32(0.04), zero(5), f32(y_scale), zero(0)]
    assert_equal(*one_node("QLinearSoftmax", inputs, domain=MS, attributes={"opset": 13, "axis": -1}))


@pytest.mark.parametrize("dtype", ENDS)
def test_a_certain_row_saturates(dtype: DTypeLike) -> None:
    x = np.array([[0, 0, 120, 0]], dtype)
    inputs = [x, f32(1.0), zero(0, dtype), f32(1 / 256), zero(int(np.iinfo(np.dtype(dtype)).min), dtype)]
    assert_equal(*one_node("QLinearSoftmax", inputs, domain=MS, attributes={"opset": 13, "axis": -1}, outputs=[dtype]))
