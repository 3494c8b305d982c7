from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from qconv.model.graph import const_array
from qconv.prepare.fold_affine_back import fold_affine_back

from .graphs import Array, changes, graph, ints, node, ops, positive, rand

BATCHNORM = node("BatchNormalization", "c gamma beta mean var", "y", epsilon=1e-3)


def statistics(channels: int) -> dict[str, Array]:
    return {
        "gamma": rand(channels, seed=1),
        "beta": rand(channels, seed=2),
        "mean": rand(channels, seed=3),
        "var": positive(channels),
    }


# name: op, its attributes, input, weight, output channels
LAYERS: dict[str, tuple[str, dict[str, Any], tuple[int, ...], tuple[int, ...], int]] = {
    "conv1d": ("Conv", {}, (2, 4, 9), (6, 4, 3), 6),
    "conv2d": ("Conv", {"pads": [1, 1, 1, 1], "strides": [2, 2]}, (2, 4, 9, 8), (6, 4, 3, 3), 6),
    "conv3d": ("Conv", {}, (1, 2, 5, 5, 5), (3, 2, 3, 3, 3), 3),
    "grouped": ("Conv", {"group": 2}, (2, 4, 7, 7), (6, 2, 3, 3), 6),
    "depthwise": ("Conv", {"group": 4}, (2, 4, 7, 7), (4, 1, 3, 3), 4),
    "transposed": ("ConvTranspose", {"strides": [2, 2]}, (2, 4, 5, 5), (4, 6, 3, 3), 6),
    "transposed 1d": ("ConvTranspose", {}, (2, 4, 5), (4, 6, 3), 6),
    "transposed grouped": ("ConvTranspose", {"group": 2, "strides": [2, 2]}, (2, 4, 5, 5), (4, 3, 3, 3), 6),
    "gemm": ("Gemm", {}, (3, 5), (5, 4), 4),
    "gemm transB": ("Gemm", {"transB": 1}, (3, 5), (4, 5), 4),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("biased", [False, True])
def test_batchnorm_goes_into_the_layer_before_it(name: str, biased: bool) -> None:
    op, attributes, x, w, channels = LAYERS[name]
    layer = node(op, "x w b" if biased else "x w", "c", **attributes)
    constants = statistics(channels) | {"w": rand(*w)} | ({"b": rand(channels, seed=9)} if biased else {})
    model = graph([layer, BATCHNORM], {"x": x}, "y", constants)
    assert changes(fold_affine_back, model) == 1
    assert ops(model) == [op]
    assert model.graph[0].name == "node_c"


@pytest.mark.parametrize("name", LAYERS)
def test_a_chain_of_arithmetic_is_one_map(name: str) -> None:
    op, attributes, x, w, channels = LAYERS[name]
    column = (channels, *[1] * (len(x) - 2))
    constants = {"w": rand(*w), "k": positive(*column), "s": rand(*column, seed=4), "d": positive(1), "t": rand(1, seed=5)}
    nodes = [
        node(op, "x w", "c", **attributes),
        node("Mul", "k c", "c1"),
        node("Sub", "c1 s", "c2"),
        node("Div", "c2 d", "c3"),
        node("Sub", "t c3", "y"),
    ]
    model = graph(nodes, {"x": x}, "y", constants)
    assert changes(fold_affine_back, model) == 4
    assert ops(model) == [op]


@pytest.mark.parametrize(("x", "w"), [((3, 5), (5, 4)), ((2, 3, 5), (5, 4)), ((2, 3, 5), (2, 5, 4)), ((5,), (5, 4))])
def test_a_matmul_takes_the_scale_and_leaves_one_add(x: tuple[int, ...], w: tuple[int, ...]) -> None:
    constants = {"w": rand(*w), "k": positive(4), "b": rand(4, seed=1), "t": rand(4, seed=2)}
    nodes = [node("MatMul", "x w", "c"), node("Add", "c b", "c1"), node("Mul", "c1 k", "c2"), node("Add", "c2 t", "y")]
    model = graph(nodes, {"x": x}, "y", constants)
    assert changes(fold_affine_back, model) == 3
    assert ops(model) == ["MatMul", "Add"]
    assert changes(fold_affine_back, model) == 0


def test_a_scalar_goes_into_a_matmul_whole() -> None:
    model = graph(
        [node("MatMul", "x w", "c"), node("Div", "c d", "y")], {"x": (2, 3, 5)}, "y", {"w": rand(5, 4), "d": positive(1)}
    )
    assert changes(fold_affine_back, model) == 1
    assert ops(model) == ["MatMul"]


@pytest.mark.parametrize("gamma", [0.0, -2.0, 1e-30])
def test_a_scale_may_be_zero_negative_or_tiny(gamma: float) -> None:
    constants = statistics(3) | {"w": rand(3, 2, 1, 1), "gamma": np.array([gamma, 1, 1], np.float32)}
    model = graph([node("Conv", "x w", "c"), BATCHNORM], {"x": (1, 2, 4, 4)}, "y", constants)
    assert changes(fold_affine_back, model) == 1


def test_a_tiny_variance_is_divided_by() -> None:
    constants = statistics(3) | {"w": rand(3, 2, 1, 1), "var": np.full(3, 1e-12, np.float32)}
    nodes = [node("Conv", "x w", "c"), node("BatchNormalization", "c gamma beta mean var", "y", epsilon=1e-7)]
    model = graph(nodes, {"x": (1, 2, 4, 4)}, "y", constants)
    assert changes(fold_affine_back, model) == 1


def test_a_map_that_float32_cannot_hold_stays() -> None:
    nodes = [node("Conv", "x w", "c"), node("Mul", "c big", "c1"), node("Mul", "c1 big", "y")]
    constants = {"w": rand(3, 2, 1, 1), "big": np.array(1e30, np.float32)}
    model = graph(nodes, {"x": (1, 2, 4, 4)}, "y", constants)
    assert fold_affine_back(model) == 0


def test_a_product_that_float32_cannot_hold_stays() -> None:
    constants: dict[str, Array] = {"w": np.full((3, 2, 1, 1), 1e20, np.float32), "big": np.array(1e20, np.float32)}
    model = graph([node("Conv", "x w", "c"), node("Mul", "c big", "y")], {"x": (1, 2, 4, 4)}, "y", constants)
    assert fold_affine_back(model) == 0


@pytest.mark.parametrize("outputs", ["y", "y c"])
def test_a_layer_that_others_read_stays(outputs: str) -> None:
    nodes = [node("Conv", "x w", "c"), BATCHNORM]
    if outputs == "y":
        nodes.append(node("Relu", "c", "z"))
        outputs = "y z"
    model = graph(nodes, {"x": (1, 2, 4, 4)}, outputs, statistics(3) | {"w": rand(3, 2, 1, 1)})
    assert changes(fold_affine_back, model) == 0
    assert "BatchNormalization" in ops(model)


def test_a_layer_that_a_subgraph_reads_stays() -> None:
    branch = onnx.helper.make_graph([node("Relu", "c", "r")], "branch", [], [onnx.ValueInfoProto(name="r")])
    other = onnx.helper.make_graph([node("Neg", "c", "n")], "other", [], [onnx.ValueInfoProto(name="n")])
    nodes = [node("Conv", "x w", "c"), BATCHNORM, node("If", "yes", "z", then_branch=branch, else_branch=other)]
    constants = statistics(3) | {"w": rand(3, 2, 1, 1), "yes": np.array(True)}
    model = graph(nodes, {"x": (1, 2, 4, 4)}, "y z", constants)
    assert changes(fold_affine_back, model) == 0


def test_a_shared_weight_stays_as_it_is_for_the_other_layer() -> None:
    nodes = [node("Conv", "x w b", "c"), BATCHNORM, node("Conv", "x w b", "z")]
    constants = statistics(3) | {"w": rand(3, 2, 1, 1), "b": rand(3)}
    model = graph(nodes, {"x": (1, 2, 4, 4)}, "y z", constants)
    assert changes(fold_affine_back, model) == 1
    untouched = model.graph[-1]
    assert np.array_equal(const_array(untouched.inputs[1]), constants["w"])  # type: ignore[arg-type]
    assert np.array_equal(const_array(untouched.inputs[2]), constants["b"])  # type: ignore[arg-type]


def test_shared_statistics_serve_two_layers() -> None:
    nodes = [
        node("Conv", "x w", "c"),
        BATCHNORM,
        node("Conv", "x v", "d"),
        node("BatchNormalization", "d gamma beta gamma var", "z"),
    ]
    constants = statistics(3) | {"w": rand(3, 2, 1, 1), "v": rand(3, 2, 1, 1, seed=8)}
    model = graph(nodes, {"x": (1, 2, 4, 4)}, "y z", constants)
    assert changes(fold_affine_back, model) == 2
    assert ops(model) == ["Conv", "Conv"]


def test_a_map_along_another_axis_stays() -> None:
    nodes = [node("Conv", "x w", "c"), node("Mul", "c k", "y")]
    model = graph(nodes, {"x": (1, 2, 4, 3)}, "y", {"w": rand(3, 2, 1, 1), "k": positive(3)})
    assert changes(fold_affine_back, model) == 0


def test_statistics_that_are_computed_stay() -> None:
    nodes = [node("Conv", "x w", "c"), BATCHNORM]
    constants = statistics(3) | {"w": rand(3, 2, 1, 1)}
    del constants["gamma"]
    model = graph(nodes, {"x": (1, 2, 4, 4), "gamma": (3,)}, "y", constants)
    assert changes(fold_affine_back, model) == 0


def test_training_stays() -> None:
    nodes = [
        node("Conv", "x w", "c"),
        node("BatchNormalization", "c gamma beta mean var", "y running_mean running_var", training_mode=1),
    ]
    model = graph(nodes, {"x": (1, 2, 4, 4)}, "y", statistics(3) | {"w": rand(3, 2, 1, 1)})
    assert changes(fold_affine_back, model) == 0


@pytest.mark.parametrize(
    ("mover", "shape"),
    [
        (node("Transpose", "c", "m", perm=[0, 2, 3, 1]), (3,)),
        (node("Squeeze", "c axes", "m"), (3, 1)),
        (node("Reshape", "c flat", "m"), (3, 1)),
        (node("Transpose", "c", "m", perm=[0, 2, 3, 1]), (1,)),
    ],
)
def test_channels_are_followed_through_nodes_that_move_elements(mover: onnx.NodeProto, shape: tuple[int, ...]) -> None:
    constants: dict[str, Array] = {
        "w": rand(3, 2, 1, 3),
        "k": positive(*shape),
        "t": rand(*shape),
        "axes": ints(3),
        "flat": ints(0, 3, 4),
    }
    nodes = [node("Conv", "x w", "c"), mover, node("Mul", "m k", "y1"), node("Add", "y1 t", "y")]
    model = graph(nodes, {"x": ("N", 2, 4, 3)}, "y", constants)
    assert changes(fold_affine_back, model) == 2
    assert ops(model) == ["Conv", mover.op_type]


def test_a_reshape_that_mixes_channels_is_not_followed() -> None:
    nodes = [node("Conv", "x w", "c"), node("Reshape", "c mixed", "m"), node("Mul", "m k", "y")]
    constants: dict[str, Array] = {"w": rand(4, 2, 1, 1), "mixed": ints(1, 2, 8), "k": positive(2, 1)}
    model = graph(nodes, {"x": (1, 2, 2, 2)}, "y", constants)
    assert changes(fold_affine_back, model) == 0


def test_names_of_the_last_value_and_of_the_layer_stay() -> None:
    nodes = [node("Conv", "x w", "c"), BATCHNORM, node("Relu", "y", "z")]
    model = graph(nodes, {"x": ("N", 2, 4, 4)}, "z", statistics(3) | {"w": rand(3, 2, 1, 1)})
    assert changes(fold_affine_back, model) == 1
    conv: ir.Node = model.graph[0]
    assert (conv.name, conv.outputs[0].name) == ("node_c", "y")
