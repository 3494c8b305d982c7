from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from qconv.data_free.batchnorm_ranges import K, batchnorm_ranges
from tests.networks import network

CONSTANTS = {
    "gamma": np.array([1.0, -2.0], np.float32),
    "beta": np.array([5.0, 0.5], np.float32),
    "mean": np.zeros(2, np.float32),
    "variance": np.ones(2, np.float32),
    "zero": np.array(0, np.float32),
    "six": np.array(6, np.float32),
}


def norm(output: str) -> onnx.NodeProto:
    return helper.make_node("BatchNormalization", ["x", "gamma", "beta", "mean", "variance"], [output])


def ranges(*nodes: onnx.NodeProto, output: str = "y") -> dict[str, tuple[float, float]]:
    return batchnorm_ranges(network(nodes, {"x": [1, 2, 8, 8]}, [output], CONSTANTS).graph)


def test_a_batch_norm_reaches_k_deviations() -> None:
    assert ranges(norm("y")) == {"y": (0.5 - 2 * K, 0.5 + 2 * K)}


def test_a_clamp_cuts() -> None:
    found = ranges(norm("n"), helper.make_node("Relu", ["n"], ["r"]), helper.make_node("Clip", ["n", "zero", "six"], ["y"]))
    assert found["r"] == (0.0, 0.5 + 2 * K)
    assert found["y"] == (0.0, 6.0)


def test_sums_add_moments() -> None:
    found = ranges(norm("a"), norm("b"), helper.make_node("Add", ["a", "b"], ["y"]))
    low, high = 1 - K * np.sqrt(4 + 4), 10 + K * np.sqrt(1 + 1)  # the second channel reaches lowest, the first highest
    assert found["y"] == pytest.approx((low, high))


def test_a_sum_with_something_unknown_is_unknown() -> None:
    assert set(ranges(norm("a"), helper.make_node("Add", ["a", "x"], ["y"]))) == {"a"}


def test_moments_of_a_clamped_tensor_are_those_of_a_clamped_normal_distribution() -> None:
    constants = {**CONSTANTS, "beta": np.zeros(2, np.float32), "gamma": np.ones(2, np.float32)}
    nodes = [norm("n"), helper.make_node("Relu", ["n"], ["r"]), helper.make_node("Add", ["r", "r"], ["y"])]
    lo, hi = batchnorm_ranges(network(nodes, {"x": [1, 2, 8, 8]}, ["y"], constants).graph)["y"]
    mean, variance = 1 / np.sqrt(2 * np.pi), 0.5 - 0.5 / np.pi  # of max(0, N(0, 1))
    assert lo == 0.0
    assert hi == pytest.approx(2 * mean + K * np.sqrt(2 * variance), rel=0.01)  # 200 quantiles
