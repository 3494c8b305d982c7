from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from onnx import helper

from qconv.plan.outcomes import outcomes
from tests.networks import network

WEIGHT = {"w": np.ones((4, 4), np.float32)}


def graph(*nodes: tuple[str, list[str], list[str]]) -> ir.Graph:
    made = [helper.make_node(op, inputs, outputs) for op, inputs, outputs in nodes]
    return network(made, {"x": [1, 4]}, [nodes[-1][2][0]], WEIGHT).graph


def test_what_follows_the_last_layer_of_weights() -> None:
    found = graph(("MatMul", ["x", "w"], ["a"]), ("Relu", ["a"], ["b"]), ("MatMul", ["b", "w"], ["c"]), ("Softmax", ["c"], ["y"]))
    assert outcomes(found) == {"c", "y"}


def test_both_sides_of_a_residual() -> None:
    found = graph(("MatMul", ["x", "w"], ["a"]), ("MatMul", ["a", "w"], ["b"]), ("Add", ["a", "b"], ["y"]))
    assert outcomes(found) == {"a", "b", "y"}


@pytest.mark.parametrize("op", ["ReduceMean", "ReduceSum"])
def test_what_is_averaged_is_not_read_one_by_one(op: str) -> None:
    assert outcomes(graph(("Relu", ["x"], ["a"]), (op, ["a"], ["y"]))) == {"y"}
