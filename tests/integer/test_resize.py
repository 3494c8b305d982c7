"""Resize to the nearest element, equal to onnxruntime on every element, in every mode that it has."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from qconv.errors import ModelError
from qconv.integer.execution.executor import Executor
from qconv.integer.program import Program
from tests.integer.onenode import Array, assert_equal, codes, one_node

COORDINATES = [
    "asymmetric",
    "half_pixel",
    "pytorch_half_pixel",
    "tf_half_pixel_for_nn",
    "align_corners",
    "tf_crop_and_resize",
    "half_pixel_symmetric",
]
ROUNDINGS = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]
REGION = [0.1, -0.2, 0.0, 0.3, 0.9, 1.0, 1.0, 1.3]
SCALES = [[1, 1, 2, 2], [1, 1, 0.5, 0.33], [1, 2, 1.5, 2.3], [0.7, 1, 3, 1]]
SIZES = [[2, 3, 10, 14], [2, 3, 1, 1], [3, 7, 9, 4], [1, 3, 5, 23], [2, 3, 4, 4]]


def attributes_of(coordinates: str, rounding: str) -> dict[str, Any]:
    """The attributes of a Resize to the nearest element."""
    return {
        "mode": "nearest",
        "coordinate_transformation_mode": coordinates,
        "nearest_mode": rounding,
        "extrapolation_value": 42.0,
    }


def region(coordinates: str) -> Array | None:
    """The region of interest, for the mode that has one."""
    return np.array(REGION, np.float32) if coordinates == "tf_crop_and_resize" else None


@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("scales", SCALES)
def test_scales(scales: list[float], rounding: str, coordinates: str) -> None:
    x = codes(np.random.default_rng(0), (2, 3, 5, 7))
    inputs = [x, region(coordinates), np.array(scales, np.float32)]
    assert_equal(*one_node("Resize", inputs, attributes=attributes_of(coordinates, rounding)))


@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("sizes", SIZES)
def test_sizes(sizes: list[int], rounding: str, coordinates: str) -> None:
    x = codes(np.random.default_rng(0), (2, 3, 5, 7), np.int8)
    inputs = [x, region(coordinates), None, np.array(sizes, np.int64)]
    assert_equal(*one_node("Resize", inputs, attributes=attributes_of(coordinates, rounding), outputs=[np.int8]))


@pytest.mark.parametrize("coordinates", ["asymmetric", "half_pixel"])
@pytest.mark.parametrize("rounding", ["round_prefer_floor", "round_prefer_ceil"])
def test_next_to_halves(coordinates: str, rounding: str) -> None:
    """Ratios such as 4 / 7 put float32 coordinates a few ulp beside a half, where onnxruntime still sees a half."""
    for before in range(2, 24):
        x = np.arange(before, dtype=np.uint8)
        for after in (4, 6, 10, 15, 22):
            inputs = [x, None, None, np.array([after], np.int64)]
            assert_equal(*one_node("Resize", inputs, attributes=attributes_of(coordinates, rounding)))


@pytest.mark.parametrize("policy", ["not_larger", "not_smaller"])
def test_aspect_ratio(policy: str) -> None:
    x = codes(np.random.default_rng(0), (1, 3, 5, 7))
    attributes = {**attributes_of("half_pixel", "floor"), "axes": [2, 3], "keep_aspect_ratio_policy": policy}
    assert_equal(*one_node("Resize", [x, None, None, np.array([12, 13], np.int64)], attributes=attributes))


def test_axes() -> None:
    x = codes(np.random.default_rng(0), (1, 3, 5, 7))
    attributes = {**attributes_of("asymmetric", "floor"), "axes": [3, 2]}
    assert_equal(*one_node("Resize", [x, None, np.array([3, 2], np.float32)], attributes=attributes))


def test_linear_is_refused() -> None:
    x = codes(np.random.default_rng(0), (1, 3, 5, 7))
    model, feeds = one_node("Resize", [x, None, np.array([1, 1, 2, 2], np.float32)], attributes={"mode": "linear"})
    with pytest.raises(ModelError, match="nearest only"):
        Executor(Program.read(ir.from_proto(model))).run(feeds)
