"""QLinearSoftmax for scales that are no powers of two: one in a million codes tells the rounding of its division."""

from __future__ import annotations

import numpy as np
import pytest

from qconv.integer.execution.kernels.softmax import softmax_codes
from qconv.model.evaluate import run_node
from qconv.ops.scale_rules import inverse_scale


@pytest.mark.parametrize("steps", [256, 300, 1000, 1656, 8000])
@pytest.mark.parametrize("scale", [0.001, 0.004, 0.1])
@pytest.mark.parametrize("length", [5, 50, 500])
def test_codes_are_those_of_onnxruntime(steps: int, scale: float, length: int) -> None:
    rng = np.random.default_rng(steps + length)
    x = rng.integers(0, 256, (400_000 // length, length)).astype(np.uint8)
    numbers = (np.float32(scale), np.uint8(100), inverse_scale(steps), np.uint8(0))
    arrays = [x, *map(np.asarray, numbers)]
    (found,) = run_node("QLinearSoftmax", arrays, domain="com.microsoft", attributes={"axis": -1, "opset": 13})
    assert np.array_equal(softmax_codes(x, float(np.float32(scale)), np.float32(steps), 0), found)
