"""Pad in all its modes, equal to onnxruntime on every element."""

from __future__ import annotations

import numpy as np
import pytest

from tests.integer.onenode import Array, assert_equal, codes, one_node, zero

SHAPE = (4, 5, 6)
CASES = {
    "nothing": [0, 0, 0, 0, 0, 0],
    "both ends": [0, 1, 2, 0, 3, 1],
    "cut": [0, -1, -2, 0, -1, 0],
    "cut and added": [1, -2, 2, -1, 2, -1],
}


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge", "wrap"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int64])
@pytest.mark.parametrize("case", CASES)
def test_modes(case: str, mode: str, dtype: type[np.integer]) -> None:
    inputs: list[Array | None] = [codes(np.random.default_rng(0), SHAPE, dtype), np.array(CASES[case], np.int64)]
    if mode == "constant":
        inputs.append(zero(77, dtype))
    assert_equal(*one_node("Pad", inputs, attributes={"mode": mode}, outputs=[dtype]))


def test_the_constant_is_0_by_default() -> None:
    x = codes(np.random.default_rng(0), SHAPE)
    assert_equal(*one_node("Pad", [x, np.array([1] * 6, np.int64)]))


@pytest.mark.parametrize("axes", [[1], [-1, 0], [2, 0, 1]])
def test_axes(axes: list[int]) -> None:
    x = codes(np.random.default_rng(0), SHAPE)
    pads = np.arange(2 * len(axes), dtype=np.int64)
    assert_equal(*one_node("Pad", [x, pads, zero(9), np.array(axes, np.int64)]))
