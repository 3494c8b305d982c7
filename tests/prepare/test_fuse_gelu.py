from __future__ import annotations

import numpy as np
import onnx
import pytest

from qconv.prepare.fuse_gelu import fuse_gelu

from .graphs import changes, graph, node, ops

CONSTANTS = {
    "half": np.array(0.5, np.float32),
    "one": np.array(1, np.float32),
    "two": np.array(2, np.float32),
    "three": np.array(3, np.float32),
    "root": np.array(np.sqrt(2), np.float32),
    "inverse": np.array(np.sqrt(0.5), np.float32),
    "k": np.array(np.sqrt(2 / np.pi), np.float32),
    "c": np.array(0.044715, np.float32),
    "wrong": np.array(0.05, np.float32),
}
EXACT = [node("Div", "x root", "a"), node("Erf", "a", "e"), node("Add", "e one", "g")]
CUBE = [node("Pow", "x three", "p"), node("Mul", "p c", "q"), node("Add", "x q", "s")]
TANH = [node("Mul", "s k", "a"), node("Tanh", "a", "e"), node("Add", "one e", "g")]
END = [node("Mul", "x g", "h"), node("Mul", "h half", "y")]
EXACT_FORMS = {
    "erf": [*EXACT, *END],
    "erf, half first": [*EXACT, node("Mul", "half x", "h"), node("Mul", "g h", "y")],
    "erf, half inside": [
        node("Mul", "x inverse", "a"),
        node("Erf", "a", "e"),
        node("Mul", "e half", "m"),
        node("Add", "m half", "g"),
        node("Mul", "g x", "y"),
    ],
    "erf, divided": [*EXACT, node("Mul", "x g", "h"), node("Div", "h two", "y")],
}
TANH_FORMS = {
    "power": [*CUBE, *TANH, *END],
    "product": [node("Mul", "c x", "p"), node("Mul", "x p", "r"), node("Mul", "x r", "q"), node("Add", "x q", "s"), *TANH, *END],
    "factored": [
        node("Mul", "x x", "p"),
        node("Mul", "p c", "q"),
        node("Add", "q one", "r"),
        node("Mul", "x r", "s"),
        *TANH,
        *END,
    ],
}


@pytest.mark.parametrize("form", [*EXACT_FORMS, *TANH_FORMS])
def test_every_form_is_recognised(form: str) -> None:
    nodes = [node("Neg", "w", "x"), *(EXACT_FORMS | TANH_FORMS)[form], node("Neg", "y", "z")]
    model = graph(nodes, {"w": (50, 3)}, "z", CONSTANTS)
    assert changes(fuse_gelu, model) == 1
    assert ops(model) == ["Neg", "Gelu", "Neg"]
    assert model.graph[1].attributes["approximate"].as_string() == ("none" if form in EXACT_FORMS else "tanh")


@pytest.mark.parametrize(
    "nodes",
    [
        [*EXACT, node("Mul", "x g", "y")],
        [*EXACT, node("Mul", "v g", "h"), node("Mul", "h half", "y")],
        [node("Mul", "x root", "a"), node("Erf", "a", "e"), node("Add", "e one", "g"), *END],
        [node("Div", "x root", "a"), node("Erf", "a", "e"), node("Add", "e two", "g"), *END],
        [node("Pow", "x two", "p"), node("Mul", "p c", "q"), node("Add", "x q", "s"), *TANH, *END],
        [node("Pow", "x three", "p"), node("Mul", "p wrong", "q"), node("Add", "x q", "s"), *TANH, *END],
    ],
)
def test_other_products_stay(nodes: list[onnx.NodeProto]) -> None:
    model = graph(nodes, {"x": (50, 3), "v": (50, 3)}, "y", CONSTANTS)
    assert changes(fuse_gelu, model) == 0
