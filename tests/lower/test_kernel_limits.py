"""Scales that onnxruntime's kernels do not bear never reach them: the node stays in float and is right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from qconv.model.session import open_session
from qconv.ops.kernel_limits import limit_of_hard_swish
from qconv.quant.types import UINT8, QuantParams
from tests.lower.harness import Array, quantize_graph
from tests.networks import network

TWO = "g (float[2] a, float[2] b) => (float[2] y)"


def pair(a: list[float], b: list[float]) -> dict[str, Array]:
    return {"a": np.asarray(a, np.float32), "b": np.asarray(b, np.float32)}


@pytest.mark.parametrize(
    ("op", "feeds", "beyond", "right"),
    [
        ("Mul", [pair([4e3, 0], [0, 3e3]), pair([0.01, 0], [0.01, 0])], pair([4e3, 4e3], [3e3, 3e3]), 1.2e7),
        ("Add", [pair([1e9, 0.1], [-1e9, 0])], pair([1e9, 1e9], [0, 0]), 1e9),
        ("Sub", [pair([1e9, 0.1], [1e9, 0])], pair([1e9, 1e9], [0, 0]), 1e9),
    ],
)
def test_values_beyond_int32_are_right(
    tmp_path: Path, op: str, feeds: list[dict[str, Array]], beyond: dict[str, Array], right: float
) -> None:
    result = quantize_graph(tmp_path, f"{TWO} {{ y = {op}(a, b) }}", {}, feeds)
    (reason,) = result.quantized.plan.float_nodes.values()
    assert ("2^31" if op == "Mul" else "whole calibrated range") in reason
    (y,) = open_session(result.quantized.model).run(None, beyond)
    np.testing.assert_allclose(y, right, rtol=0.01)  # a step of 8 bits of a and of b


@pytest.mark.parametrize("op", ["Mul", "Add", "Sub"])
def test_ordinary_scales_stay_integer(tmp_path: Path, op: str) -> None:
    feeds = [pair([-1, 1], [0.5, -0.25])]
    assert not quantize_graph(tmp_path, f"{TWO} {{ y = {op}(a, b) }}", {}, feeds).quantized.plan.float_nodes


def test_an_average_far_below_its_input_stays_in_float(tmp_path: Path) -> None:
    """Rows that cancel: onnxruntime's kernel throws where S_x / (S_y n) is 256 or more."""
    text = "g (float[1,4,2,2] x) => (float[1,4,1,1] y) { y = GlobalAveragePool(x) }"
    x = np.tile(np.asarray([[1.0, -1.0], [1.0, -1.0 + 1e-4]], np.float32), (1, 4, 1, 1))
    result = quantize_graph(tmp_path, text, {}, [{"x": x}])
    (reason,) = result.quantized.plan.float_nodes.values()
    assert "QLinearGlobalAveragePool" in reason
    assert open_session(result.quantized.model).run(None, {"x": x})[0].shape == (1, 4, 1, 1)


def test_a_hard_swish_far_beyond_its_output_stays_in_float() -> None:
    """No samples lead here, as a large input gives a large output; an edited plan or pinned parameters may."""
    graph = network([helper.make_node("HardSwish", ["x"], ["y"], name="swish")], {"x": [2]}, ["y"], {}).graph
    params = {name: QuantParams(np.asarray(scale, np.float32), np.asarray(0), UINT8) for name, scale in (("x", 1e9), ("y", 1.0))}
    (swish,) = graph
    assert "2^31" in str(limit_of_hard_swish(swish, params))
    assert limit_of_hard_swish(swish, {**params, "x": params["y"]}) is None
