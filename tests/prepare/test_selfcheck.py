from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from qconv.prepare.selfcheck import largest_relative_difference, relative_difference

from .graphs import graph, node, rand

NAN, INF = np.nan, np.inf


@pytest.mark.parametrize(
    ("a", "b", "difference"),
    [
        ([1.0, -4.0], [1.0, -4.0], 0.0),
        ([1.0, -4.0], [2.0, -4.0], 0.25),
        ([0.0, 0.0], [0.0, 0.0], 0.0),
        ([0.0, 0.0], [0.0, 1.0], INF),
        ([NAN, INF, 2.0], [NAN, INF, 1.0], 0.5),
        ([NAN, 2.0], [1.0, 2.0], INF),
        ([INF, 2.0], [-INF, 2.0], INF),
        ([1.0], [1.0, 1.0], INF),
    ],
)
def test_difference_of_two_arrays(a: list[float], b: list[float], difference: float) -> None:
    assert relative_difference(np.array(a), np.array(b)) == difference


def test_strings_are_equal_or_not() -> None:
    assert relative_difference(np.array(["a"]), np.array(["a"])) == 0
    assert relative_difference(np.array(["a"]), np.array(["b"])) == INF


def test_the_worst_output_and_sample_count(tmp_path: Path) -> None:
    constants = {"k": np.array(2, np.float32)}
    model = graph([node("Mul", "x k", "y"), node("Relu", "x", "z")], {"x": (1, 2)}, "y z", constants)
    ir.save(model, tmp_path / "m.onnx")
    feeds = [{"x": np.array([[1, 2]], np.float32)}, {"x": np.array([[3, 4]], np.float32)}]
    assert largest_relative_difference(tmp_path / "m.onnx", model, feeds) == 0
    model.graph.initializers["k"].const_value = ir.Tensor(np.array(3, np.float32), name="k")
    assert largest_relative_difference(tmp_path / "m.onnx", model, feeds) == 0.5


def test_outputs_are_compared_by_name(tmp_path: Path) -> None:
    model = graph([node("Neg", "x", "y"), node("Relu", "x", "z")], {"x": (1, 2)}, "y z")
    ir.save(model, tmp_path / "m.onnx")
    model.graph.outputs.reverse()
    assert largest_relative_difference(tmp_path / "m.onnx", model, [{"x": rand(1, 2)}]) == 0
