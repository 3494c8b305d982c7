"""QLinearLeakyRelu, QLinearSigmoid and QLinearConcat on all codes, equal to onnxruntime on every element."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import DTypeLike

from tests.integer.onenode import assert_equal, codes, f32, one_node, zero

MS = "com.microsoft"
TYPES = [np.uint8, np.int8]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("x_scale", "y_scale"), [(0.75, 0.5), (0.25, 1.0), (0.5, 0.5)])
def test_leaky_relu(x_scale: float, y_scale: float, dtype: DTypeLike) -> None:
    x = np.arange(256, dtype=np.uint8).view(dtype)
    inputs = [x, f32(x_scale), zero(60, dtype), f32(y_scale), zero(33, dtype)]
    assert_equal(*one_node("QLinearLeakyRelu", inputs, domain=MS, attributes={"alpha": 0.125}, outputs=[dtype]))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("x_scale", [0.01, 0.05, 0.1, 0.7, 10.0])
@pytest.mark.parametrize("x_zero_point", [0, 60, 127])
def test_sigmoid(x_scale: float, x_zero_point: int, dtype: DTypeLike) -> None:
    x = np.arange(256, dtype=np.uint8).view(dtype)
    inputs = [x, f32(x_scale), zero(x_zero_point, dtype), f32(1 / 256), zero(int(np.iinfo(np.dtype(dtype)).min), dtype)]
    assert_equal(*one_node("QLinearSigmoid", inputs, domain=MS, outputs=[dtype]))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("x_scale", "y_scale"), [(0.75, 0.5), (0.25, 1.0), (0.5, 0.5), (16.0, 0.25)])
def test_a_concat_of_one_is_a_rescaling(x_scale: float, y_scale: float, dtype: DTypeLike) -> None:
    x = np.arange(256, dtype=np.uint8).view(dtype)
    inputs = [f32(y_scale), zero(33, dtype), x, f32(x_scale), zero(60, dtype)]
    assert_equal(*one_node("QLinearConcat", inputs, domain=MS, attributes={"axis": 0}, outputs=[dtype], dynamic=(2,)))


@pytest.mark.parametrize("axis", [1, -1, 0])
def test_concat_rescales_what_differs_and_copies_the_rest(axis: int) -> None:
    rng = np.random.default_rng(0)
    same, other, shifted = (codes(rng, (3, 3, 3)) for _ in range(3))
    inputs = [f32(0.75), zero(5), same, f32(0.75), zero(5), other, f32(0.375), zero(5), shifted, f32(0.75), zero(77)]
    assert_equal(*one_node("QLinearConcat", inputs, domain=MS, attributes={"axis": axis}, dynamic=(2, 5, 8)))
