"""MaxPool and the average pools, equal to onnxruntime on every element."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import DTypeLike

from tests.integer.onenode import assert_equal, codes, f32, one_node, zero

MS = "com.microsoft"
TYPES = [np.uint8, np.int8]

WINDOWS: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((2, 6, 8, 8), {"kernel_shape": [2, 2], "strides": [2, 2]}),
    ((2, 6, 8, 9), {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ((1, 3, 9, 9), {"kernel_shape": [3, 2], "strides": [1, 3], "pads": [0, 1, 2, 0]}),
    ((1, 3, 7, 7), {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
    ((1, 3, 8, 8), {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
    ((1, 3, 10, 10), {"kernel_shape": [3, 3], "strides": [3, 3], "ceil_mode": 1, "pads": [1, 1, 1, 1]}),
    ((1, 3, 6, 6), {"kernel_shape": [1, 2], "strides": [2, 3], "ceil_mode": 1}),
    ((2, 3, 11), {"kernel_shape": [3], "strides": [2], "pads": [1, 0]}),
    ((2, 3, 7, 6, 5), {"kernel_shape": [3, 2, 2], "strides": [2, 1, 1], "pads": [1, 0, 0, 0, 1, 1]}),
    ((1, 3, 9, 10), {"kernel_shape": [2, 2], "strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    ((1, 3, 9, 10), {"kernel_shape": [3, 2], "strides": [2, 2], "auto_pad": "SAME_LOWER"}),
    ((1, 3, 12, 12), {"kernel_shape": [1, 2], "strides": [3, 3], "auto_pad": "SAME_UPPER"}),
    ((1, 3, 9, 10), {"kernel_shape": [3, 2], "auto_pad": "VALID"}),
]
DILATED: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((1, 3, 9, 10), {"kernel_shape": [2, 3], "dilations": [2, 2], "strides": [1, 2], "pads": [1, 0, 1, 2]}),
    ((1, 3, 9, 10), {"kernel_shape": [3, 3], "dilations": [3, 1], "ceil_mode": 1, "strides": [2, 2]}),
    ((1, 3, 8, 5), {"kernel_shape": [2, 2], "dilations": [2, 2], "strides": [2, 2], "auto_pad": "SAME_LOWER"}),
    ((1, 3, 9), {"kernel_shape": [2], "dilations": [4]}),
]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("shape", "attributes"), WINDOWS + DILATED)
def test_max_pool(shape: tuple[int, ...], attributes: dict[str, Any], dtype: DTypeLike) -> None:
    x = codes(np.random.default_rng(0), shape, dtype)
    assert_equal(*one_node("MaxPool", [x], attributes=attributes, outputs=[dtype]))


def test_padding_never_wins_a_max_pool() -> None:
    x = np.full((1, 1, 3, 3), -128, np.int8)
    assert_equal(*one_node("MaxPool", [x], attributes={"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}, outputs=[np.int8]))


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("pads", [[0, 0, 0, 0], [1, 0, 1, 1]])
def test_indices_of_a_max_pool(dtype: DTypeLike, order: int, pads: list[int]) -> None:
    x = codes(np.random.default_rng(0), (2, 3, 7, 6), dtype) // np.array(32, dtype)  # with many ties
    attributes = {"kernel_shape": [3, 2], "strides": [2, 1], "pads": pads, "storage_order": order}
    assert_equal(*one_node("MaxPool", [x], attributes=attributes, outputs=[dtype, np.int64]))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("count_include_pad", [0, 1])
@pytest.mark.parametrize(("shape", "attributes"), WINDOWS)
def test_average_pool(shape: tuple[int, ...], attributes: dict[str, Any], count_include_pad: int, dtype: DTypeLike) -> None:
    x = codes(np.random.default_rng(0), shape, dtype)
    attributes = {**attributes, "count_include_pad": count_include_pad}
    inputs = [x, f32(1), zero(37, dtype), f32(1), zero(37, dtype)]
    assert_equal(*one_node("QLinearAveragePool", inputs, domain=MS, attributes=attributes, outputs=[dtype]))


def test_average_pool_of_channels_last() -> None:
    x = codes(np.random.default_rng(0), (2, 8, 9, 6))
    attributes = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "channels_last": 1}
    assert_equal(*one_node("QLinearAveragePool", [x, f32(1), zero(9), f32(1), zero(9)], domain=MS, attributes=attributes))


@pytest.mark.parametrize("ratio", [0.5, 0.75, 2.0])
def test_average_pool_with_exact_scales(ratio: float) -> None:
    x = codes(np.random.default_rng(0), (2, 6, 8, 8))
    attributes = {"kernel_shape": [2, 2], "strides": [2, 2]}
    assert_equal(*one_node("QLinearAveragePool", [x, f32(ratio), zero(9), f32(1), zero(40)], domain=MS, attributes=attributes))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(2, 24, 8, 8), (2, 24, 32), (1, 16, 4, 2, 4), (1, 5, 1, 1)])
@pytest.mark.parametrize("ratio", [1.0, 0.375, 4.0])
def test_global_average_pool(shape: tuple[int, ...], ratio: float, dtype: DTypeLike) -> None:
    x = codes(np.random.default_rng(0), shape, dtype)
    inputs = [x, f32(ratio), zero(7, dtype), f32(1), zero(100, dtype)]
    assert_equal(*one_node("QLinearGlobalAveragePool", inputs, domain=MS, attributes={"channels_last": 0}, outputs=[dtype]))


def test_global_average_pool_of_channels_last() -> None:
    x = codes(np.random.default_rng(0), (2, 8, 8, 24))
    inputs = [x, f32(0.375), zero(7), f32(1), zero(100)]
    assert_equal(*one_node("QLinearGlobalAveragePool", inputs, domain=MS, attributes={"channels_last": 1}))
