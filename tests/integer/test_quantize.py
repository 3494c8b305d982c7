"""QuantizeLinear and DequantizeLinear, equal to onnxruntime on every element."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import DTypeLike

from tests.integer.onenode import assert_equal, codes, f32, one_node, zero

TYPES = [np.uint8, np.int8]
SPECIAL = [np.nan, np.inf, -np.inf, 1e30, -1e30, 0.0, -0.0, 1e-40, 0.5, 1.5, 2.5, -0.5, 126.5, 127.5, 254.5]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("scale", [0.02, 1.0, 2**-7, 1e-6])
@pytest.mark.parametrize("zero_point", [0, 5, 100])
def test_quantize(scale: float, zero_point: int, dtype: DTypeLike) -> None:
    x = np.concatenate([SPECIAL, np.random.default_rng(0).normal(0, 3, 5000), SPECIAL]).astype(np.float32)
    assert_equal(*one_node("QuantizeLinear", [x, f32(scale), zero(zero_point, dtype)], outputs=[dtype]))


def test_quantize_without_zero_point_makes_uint8() -> None:
    x = np.linspace(-2, 300, 1000, dtype=np.float32)
    assert_equal(*one_node("QuantizeLinear", [x, f32(0.7)]))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("zero_point", [0, 37])
def test_dequantize(zero_point: int, dtype: DTypeLike) -> None:
    x = np.arange(256, dtype=np.uint8).view(dtype)
    assert_equal(*one_node("DequantizeLinear", [x, f32(0.0173), zero(zero_point, dtype)], outputs=[np.float32]))


def test_dequantize_of_a_bias() -> None:
    x = codes(np.random.default_rng(0), (1000,), np.int32)
    assert_equal(*one_node("DequantizeLinear", [x, f32(0.0173), zero(0, np.int32)], outputs=[np.float32]))


@pytest.mark.parametrize("axis", [1, -2, 0])
def test_channels(axis: int) -> None:
    rng = np.random.default_rng(0)
    shape = (5, 5, 6)
    scales, zero_points = rng.uniform(0.01, 0.1, 5).astype(np.float32), np.arange(5, dtype=np.uint8)
    x = rng.normal(0, 3, shape).astype(np.float32)
    assert_equal(*one_node("QuantizeLinear", [x, scales, zero_points], attributes={"axis": axis}))
    inputs = [codes(rng, shape), scales, zero_points]
    assert_equal(*one_node("DequantizeLinear", inputs, attributes={"axis": axis}, outputs=[np.float32]))
