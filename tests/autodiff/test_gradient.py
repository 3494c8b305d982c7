from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from numpy.typing import NDArray
from onnx import helper
from onnx_ir.tape import Tape

from qconv.autodiff.gradient import RULES, append_gradient
from qconv.data_free.statistics_network import append_named
from qconv.errors import ModelError
from qconv.model.session import open_session
from tests.networks import network

RNG = np.random.default_rng(0)


def normal(*shape: int) -> NDArray[np.float32]:
    return RNG.standard_normal(shape).astype(np.float32)


def integers(*numbers: int) -> NDArray[np.int64]:
    return np.array(numbers, np.int64)


ONES, C = np.ones(4, np.float32), {"w": normal(6, 4, 3, 3), "d": normal(4, 1, 3, 3), "t": normal(4, 6, 3, 3)}
SHAPE = [2, 4, 9, 8]
CASES: dict[str, tuple[onnx.NodeProto, dict[str, NDArray[Any]]]] = {
    "conv": (helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1]), C),
    "conv stride": (helper.make_node("Conv", ["x", "w"], ["y"], strides=[2, 3], pads=[0, 1, 1, 0]), C),
    "conv depthwise": (helper.make_node("Conv", ["x", "d"], ["y"], group=4, dilations=[2, 2], pads=[2, 2, 2, 2]), C),
    "conv transpose": (helper.make_node("ConvTranspose", ["x", "t"], ["y"], strides=[2, 2], pads=[1, 1, 0, 0]), C),
    "matmul": (helper.make_node("MatMul", ["x", "m"], ["y"]), {"m": normal(8, 5)}),
    "batch norm": (
        helper.make_node("BatchNormalization", ["x", "g", "b", "m", "v"], ["y"], epsilon=0.1),
        {"g": normal(4), "b": normal(4), "m": normal(4), "v": ONES},
    ),
    "relu": (helper.make_node("Relu", ["x"], ["y"]), {}),
    "clip": (helper.make_node("Clip", ["x", "l", "h"], ["y"]), {"l": np.float32(-0.5) * ONES[0], "h": np.float32(0.7) * ONES[0]}),
    "leaky": (helper.make_node("LeakyRelu", ["x"], ["y"], alpha=0.2), {}),
    "tanh": (helper.make_node("Tanh", ["x"], ["y"]), {}),
    "exp": (helper.make_node("Exp", ["x"], ["y"]), {}),
    "neg": (helper.make_node("Neg", ["x"], ["y"]), {}),
    "softmax": (helper.make_node("Softmax", ["x"], ["y"], axis=1), {}),
    "sigmoid": (helper.make_node("Sigmoid", ["x"], ["y"]), {}),
    "hard sigmoid": (helper.make_node("HardSigmoid", ["x"], ["y"], alpha=0.5, beta=0.5), {}),
    "hard swish": (helper.make_node("HardSwish", ["x"], ["y"]), {}),
    "add twice": (helper.make_node("Add", ["x", "x"], ["y"]), {}),
    "sub": (helper.make_node("Sub", ["k", "x"], ["y"]), {"k": normal(*SHAPE)}),
    "square": (helper.make_node("Mul", ["x", "x"], ["y"]), {}),
    "div": (helper.make_node("Div", ["x", "k"], ["y"]), {"k": 1 + np.abs(normal(*SHAPE))}),
    "mean": (helper.make_node("GlobalAveragePool", ["x"], ["y"]), {}),
    "concat": (helper.make_node("Concat", ["x", "k", "x"], ["y"], axis=1), {"k": normal(2, 3, 9, 8)}),
    "pad": (helper.make_node("Pad", ["x", "p"], ["y"]), {"p": integers(0, 1, 2, 0, 0, 0, 1, 3)}),
    "slice": (
        helper.make_node("Slice", ["x", "s", "e", "a", "t"], ["y"]),
        {"s": integers(1, 0), "e": integers(9, 8), "a": integers(2, 3), "t": integers(2, 3)},
    ),
    "resize": (
        helper.make_node(
            "Resize", ["x", "", "f"], ["y"], mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"
        ),
        {"f": np.array([1, 1, 2, 2], np.float32)},
    ),
    "max pool": (helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]), {}),
    "transpose": (helper.make_node("Transpose", ["x"], ["y"], perm=[0, 2, 3, 1]), {}),
    "reshape": (helper.make_node("Reshape", ["x", "r"], ["y"]), {"r": integers(2, 6, -1)}),
}


def gradient_of(model: ir.Model, array: NDArray[np.float32], seed: NDArray[np.float32]) -> NDArray[np.float32]:
    graph, tape = model.graph, Tape()
    given = ir.Value(name="seed", type=ir.TensorType(ir.DataType.FLOAT))
    gradient = append_gradient(graph, {graph.outputs[0]: given}, graph.inputs[0], tape)
    assert gradient is not None
    graph.inputs.append(given)
    append_named(graph, tape.nodes)
    found: NDArray[np.float32] = open_session(model, outputs=[str(gradient.name)], threads=1).run(
        None, {"x": array, "seed": seed}
    )[0]
    return found


@pytest.mark.parametrize("case", CASES)
def test_the_gradient_is_the_slope_along_any_direction(case: str) -> None:
    node, constants = CASES[case]
    model = network([node], {"x": SHAPE}, ["y"], constants)
    forward = open_session(model, threads=1)
    rng = np.random.default_rng(1)
    count = int(np.prod(SHAPE))  # all elements differ by 0.02, and none is near a corner, so that no step goes over one
    x = (0.02 * (rng.permutation(count) - count // 2 + 0.5)).astype(np.float32).reshape(SHAPE)
    direction = rng.standard_normal(SHAPE).astype(np.float32)
    step = np.float32(1e-3)
    above, below = (forward.run(None, {"x": x + sign * step * direction})[0].astype(np.float64) for sign in (1, -1))
    seed = rng.standard_normal(above.shape).astype(np.float32)
    slope = float((seed * (above - below)).sum() / (2e-3))
    found = gradient_of(model, x, seed)
    assert found.shape == x.shape
    size = float(np.sqrt(np.square(found).sum()))
    # values near 5 have an error of 5e-7 in float32, which over a step of 2e-3 is 3e-4 of an element's share
    assert float((found.astype(np.float64) * direction).sum()) == pytest.approx(slope, abs=2e-3 * size)


def test_an_operand_that_was_repeated_gets_the_sum() -> None:
    nodes = [helper.make_node("GlobalAveragePool", ["x"], ["s"]), helper.make_node("Mul", ["x", "s"], ["y"])]
    x, seed = np.full((1, 2, 2, 2), 3, np.float32), np.ones((1, 2, 2, 2), np.float32)
    found = gradient_of(network(nodes, {"x": [1, 2, 2, 2]}, ["y"]), x, seed)
    np.testing.assert_allclose(found, 6.0)  # of sum x_i mean(x): mean + sum / 4


def test_a_node_without_a_rule_is_refused() -> None:
    nodes = [helper.make_node("Cos", ["x"], ["c"]), helper.make_node("Add", ["x", "c"], ["y"])]
    assert "Cos" not in RULES
    with pytest.raises(ModelError, match=r"Cos.*no gradient"):
        gradient_of(network(nodes, {"x": [1, 2]}, ["y"]), normal(1, 2), normal(1, 2))


def test_a_form_without_a_rule_is_refused() -> None:
    nodes = [helper.make_node("Pad", ["x", "p"], ["y"], mode="reflect")]
    with pytest.raises(ModelError, match=r"Pad.*no gradient"):
        gradient_of(network(nodes, {"x": [1, 3]}, ["y"], {"p": integers(0, 1, 0, 1)}), normal(1, 3), normal(1, 5))


def test_what_stands_beside_the_way_needs_no_rule() -> None:
    nodes = [helper.make_node("Cos", ["k"], ["c"]), helper.make_node("Add", ["x", "c"], ["y"])]
    seed = normal(1, 2)
    model = network(nodes, {"x": [1, 2]}, ["y"], {"k": normal(1, 2)})
    np.testing.assert_array_equal(gradient_of(model, normal(1, 2), seed), seed)
