from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from numpy.typing import NDArray
from onnx import NodeProto, helper

from qconv.model.session import open_session
from qconv.statistics.finiteness import LIMIT, OVERFLOW, doubtful
from tests.networks import network

SHAPE = (1, 4, 6, 6)
WEIGHT = np.full((4, 4, 3, 3), -2, np.float32)


def chain(*nodes: NodeProto, **constants: NDArray[Any]) -> ir.Model:
    return network(nodes, {"x": SHAPE}, [nodes[-1].output[0]], constants)


def test_a_network_of_sums_and_clamps_has_no_doubts_but_its_input() -> None:
    model = chain(
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("Clip", ["c", "lo", "hi"], ["r"]),
        helper.make_node("MaxPool", ["r"], ["p"], kernel_shape=[2, 2]),
        helper.make_node("Add", ["p", "b"], ["a"]),
        helper.make_node("Sigmoid", ["a"], ["s"]),
        helper.make_node("Mul", ["s", "a"], ["y"]),
        w=WEIGHT,
        b=np.ones((1,), np.float32),
        lo=np.array(0, np.float32),
        hi=np.array(np.inf, np.float32),
    )
    assert doubtful(model.graph, []) == ["x"]


@pytest.mark.parametrize("op_type", ["Sqrt", "Log", "Exp", "Reciprocal", "Softplus", "LogSoftmax"])
def test_what_can_make_a_nan_or_inf_is_doubtful(op_type: str) -> None:
    model = chain(
        helper.make_node("Relu", ["x"], ["r"]), helper.make_node(op_type, ["r"], ["e"]), helper.make_node("Tanh", ["e"], ["y"])
    )
    assert doubtful(model.graph, []) == ["x", "e"]
    assert doubtful(model.graph, ["r", "e", "y"]) == ["x", "e"]


def test_constants_that_are_not_finite_spread_doubt() -> None:
    mask = np.array([0, -np.inf] * 3, np.float32)
    model = chain(helper.make_node("Add", ["x", "m"], ["a"]), helper.make_node("Softmax", ["a"], ["y"]), m=mask)
    assert doubtful(model.graph, []) == ["x", "a"]
    model = chain(helper.make_node("Mul", ["x", "m"], ["y"]), m=mask * np.float32(np.nan))
    assert doubtful(model.graph, []) == ["x", "y"]


def test_bounds_that_run_over_are_doubtful_unless_observed_before() -> None:
    squares = [helper.make_node("Mul", [f"t{i}", f"t{i}"], [f"t{i + 1}"]) for i in range(1, 4)]
    model = chain(helper.make_node("Relu", ["x"], ["t1"]), *squares)
    assert doubtful(model.graph, []) == ["x", "t3"]  # 1e15, 1e30, 1e60
    assert doubtful(model.graph, ["t2", "t3"]) == ["x"]


def test_foreign_ops_are_doubtful() -> None:
    model = chain(helper.make_node("Relu", ["x"], ["y"]))
    model.graph.node(0).domain = "com.microsoft"
    assert doubtful(model.graph, []) == ["x", "y"]


BOUNDED: list[tuple[str, dict[str, Any], dict[str, NDArray[Any]]]] = [
    ("Conv", {}, {"w": WEIGHT, "b": np.full(4, -9, np.float32)}),
    ("ConvTranspose", {}, {"w": WEIGHT}),
    ("MatMul", {}, {"w": np.full((6, 3), 5, np.float32)}),
    ("Pad", {}, {"p": np.array([0, 0, 1, 1, 0, 0, 1, 1]), "v": np.array(LIMIT * 7, np.float32)}),
    ("LeakyRelu", {"alpha": 30.0}, {}),
    ("HardSwish", {}, {}),
    ("Resize", {"mode": "linear"}, {"roi": np.array([], np.float32), "scales": np.array([1, 1, 2, 3], np.float32)}),
    ("AveragePool", {"kernel_shape": [3, 3], "pads": [1] * 4}, {}),
    ("Sub", {}, {"b": np.array([LIMIT], np.float32)}),
]


@pytest.mark.parametrize(("op_type", "attributes", "constants"), BOUNDED, ids=[case[0] for case in BOUNDED])
@pytest.mark.parametrize("sign", [1, -1])
def test_bounds_hold_at_the_limit(op_type: str, attributes: Any, constants: Any, sign: int) -> None:
    """The result on inputs at the limit, times a factor that takes it beyond the overflow, must be doubted."""
    node = helper.make_node(op_type, ["x", *constants], ["y"], **attributes)
    x = np.full(SHAPE, sign * LIMIT, np.float32)
    (y,) = open_session(chain(node, **constants), threads=1).run(None, {"x": x})
    factor = np.array([1.001 * OVERFLOW / max(float(np.abs(y).max()), LIMIT)], np.float32)
    scaled = chain(node, helper.make_node("Mul", ["y", "f"], ["z"]), **constants, f=factor)
    assert doubtful(scaled.graph, []) == ["x", "z"]
