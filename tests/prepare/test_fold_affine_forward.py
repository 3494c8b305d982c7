from __future__ import annotations

from typing import Any

import pytest

from qconv.prepare.fold_affine_forward import fold_affine_forward

from .graphs import changes, graph, node, ops, positive, rand

# name: op, its attributes, input, weight
LAYERS: dict[str, tuple[str, dict[str, Any], tuple[int, ...], tuple[int, ...]]] = {
    "conv1d": ("Conv", {}, (2, 4, 9), (6, 4, 3)),
    "conv2d": ("Conv", {"strides": [2, 2]}, (2, 4, 9, 8), (6, 4, 3, 3)),
    "conv3d": ("Conv", {}, (1, 2, 5, 5, 5), (3, 2, 3, 3, 3)),
    "grouped": ("Conv", {"group": 2}, (2, 4, 7, 7), (6, 2, 3, 3)),
    "depthwise": ("Conv", {"group": 4}, (2, 4, 7, 7), (8, 1, 3, 3)),
    "valid": ("Conv", {"auto_pad": "VALID"}, (2, 4, 7, 7), (3, 4, 3, 3)),
    "gemm": ("Gemm", {}, (3, 5), (5, 4)),
    "gemm transB": ("Gemm", {"transB": 1}, (3, 5), (4, 5)),
}
# These see zeros, or a number of taps that differs: the scale only.
SCALED: dict[str, tuple[str, dict[str, Any], tuple[int, ...], tuple[int, ...]]] = {
    "padded": ("Conv", {"pads": [1, 1, 1, 1]}, (2, 4, 7, 7), (3, 4, 3, 3)),
    "same": ("Conv", {"auto_pad": "SAME_UPPER"}, (2, 4, 7, 7), (3, 4, 3, 3)),
    "transposed": ("ConvTranspose", {"strides": [2, 2]}, (2, 4, 5, 5), (4, 6, 3, 3)),
    "transposed grouped": ("ConvTranspose", {"group": 2}, (2, 4, 5, 5), (4, 3, 3, 3)),
    "matmul": ("MatMul", {}, (3, 5), (5, 4)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_batchnorm_goes_into_the_layer_after_it(name: str) -> None:
    op, attributes, x, w = LAYERS[name]
    channels = x[1]
    constants = {
        "w": rand(*w),
        "gamma": positive(channels),
        "beta": rand(channels, seed=1),
        "mean": rand(channels, seed=2),
        "var": positive(channels),
    }
    nodes = [node("BatchNormalization", "x gamma beta mean var", "h"), node(op, "h w", "y", **attributes)]
    model = graph(nodes, {"x": x}, "y", constants)
    assert changes(fold_affine_forward, model) == 1
    assert ops(model) == [op]


@pytest.mark.parametrize("name", [*LAYERS, *SCALED])
def test_a_scale_goes_into_any_layer(name: str) -> None:
    op, attributes, x, w = (LAYERS | SCALED)[name]
    constants = {"w": rand(*w), "k": positive(x[1], *[1] * (len(x) - 2)), "d": positive(1)}
    nodes = [node("Mul", "x k", "h"), node("Div", "h d", "g"), node(op, "g w", "y", **attributes)]
    model = graph(nodes, {"x": x}, "y", constants)
    assert changes(fold_affine_forward, model) == 2
    assert ops(model) == [op]


@pytest.mark.parametrize("name", SCALED)
def test_a_shift_stays_before_padding(name: str) -> None:
    op, attributes, x, w = SCALED[name]
    model = graph([node("Add", "x t", "h"), node(op, "h w", "y", **attributes)], {"x": x}, "y", {"w": rand(*w), "t": rand(1)})
    assert changes(fold_affine_forward, model) == 0


@pytest.mark.parametrize("outputs", ["y h", "y z"])
def test_a_map_that_others_read_stays(outputs: str) -> None:
    nodes = [node("Mul", "x k", "h"), node("Conv", "h w", "y"), node("Relu", "h", "z")]
    model = graph(nodes, {"x": (1, 2, 3, 3)}, outputs, {"w": rand(3, 2, 1, 1), "k": positive(1)})
    assert changes(fold_affine_forward, model) == 0


def test_an_existing_bias_is_kept() -> None:
    nodes = [node("Sub", "x t", "h"), node("Conv", "h w b", "y")]
    constants = {"w": rand(3, 2, 2, 2), "b": rand(3), "t": rand(2, 1, 1)}
    model = graph(nodes, {"x": ("N", 2, 3, 3)}, "y", constants)
    assert changes(fold_affine_forward, model) == 1
    assert ops(model) == ["Conv"]


def test_a_second_operand_stays() -> None:
    nodes = [node("Mul", "x k", "h"), node("MatMul", "z h", "y")]
    model = graph(nodes, {"x": (3, 4), "z": (2, 3)}, "y", {"k": positive(1)})
    assert changes(fold_affine_forward, model) == 0
