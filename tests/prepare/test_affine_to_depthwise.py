from __future__ import annotations

import pytest

from qconv.prepare.affine_to_depthwise import affine_to_depthwise

from .graphs import changes, graph, node, ops, positive, rand


@pytest.mark.parametrize("x", [("N", 4, 5), ("N", 4, "H", "W"), (1, 4, 2, 3, 2)])
def test_a_lone_batchnorm_becomes_a_depthwise_convolution(x: tuple[int | str, ...]) -> None:
    constants = {"gamma": rand(4), "beta": rand(4, seed=1), "mean": rand(4, seed=2), "var": positive(4)}
    model = graph([node("BatchNormalization", "x gamma beta mean var", "y")], {"x": x}, "y", constants)
    assert changes(affine_to_depthwise, model) == 1
    assert ops(model) == ["Conv"]
    assert model.graph[0].name == "node_y"


def test_a_matrix_gets_an_axis() -> None:
    constants = {"gamma": rand(4), "beta": rand(4, seed=1), "mean": rand(4, seed=2), "var": positive(4)}
    nodes = [node("Relu", "x", "r"), node("BatchNormalization", "r gamma beta mean var", "y")]
    model = graph(nodes, {"x": ("N", 4)}, "y", constants)
    assert changes(affine_to_depthwise, model) == 1
    assert ops(model) == ["Relu", "Unsqueeze", "Conv", "Squeeze"]
    assert model.graph[2].name == "node_y"


def test_a_chain_becomes_one_convolution() -> None:
    nodes = [node("Mul", "x k", "a"), node("Add", "a t", "b"), node("Mul", "b d", "y")]
    constants = {"k": positive(4, 1, 1), "t": rand(4, 1, 1), "d": positive(1)}
    model = graph(nodes, {"x": (1, 4, 3, 3)}, "y", constants)
    assert changes(affine_to_depthwise, model) == 1
    assert ops(model) == ["Conv"]


@pytest.mark.parametrize("shape", [(1,), (3,), (1, 4, 3, 3), (3, 1)])
def test_scalars_and_other_axes_stay(shape: tuple[int, ...]) -> None:
    model = graph([node("Mul", "x k", "y")], {"x": (1, 4, 3, 3)}, "y", {"k": positive(*shape)})
    assert changes(affine_to_depthwise, model) == 0
    assert ops(model) == ["Mul"]


def test_a_shift_in_front_of_padding_becomes_a_depthwise_convolution() -> None:
    nodes = [
        node("Relu", "x", "r"),
        node("Mul", "r k", "a"),
        node("Add", "a t", "b"),
        node("Conv", "b w", "y", pads=[1, 1, 1, 1]),
    ]
    model = graph(nodes, {"x": (1, 4, 3, 3)}, "y", {"k": positive(1), "t": positive(1), "w": rand(2, 4, 3, 3)})
    assert changes(affine_to_depthwise, model) == 1
    assert ops(model) == ["Relu", "Conv", "Conv"]


def test_a_constant_that_widens_its_operand_stays() -> None:
    model = graph([node("Mul", "x k", "y")], {"x": (1, 1, 3, 3)}, "y", {"k": positive(4, 1, 1)})
    assert changes(affine_to_depthwise, model) == 0
