from __future__ import annotations

import numpy as np
import onnx
import pytest

from qconv.prepare.fuse_logistic import fuse_logistic

from .graphs import changes, graph, node, ops

CONSTANTS = {"one": np.array(1, np.float32), "two": np.array(2, np.float32), "minus": np.array(-1.702, np.float32)}
GATE = [node("Neg", "x", "n"), node("Exp", "n", "e"), node("Add", "e one", "d")]
FORMS = {
    "quotient": ([*GATE, node("Div", "one d", "y")], ["Sigmoid"]),
    "reciprocal": ([*GATE, node("Reciprocal", "d", "y")], ["Sigmoid"]),
    "SiLU": ([*GATE, node("Div", "x d", "y")], ["Sigmoid", "Mul"]),
    "one first": ([*GATE[:2], node("Add", "one e", "d"), node("Div", "x d", "y")], ["Sigmoid", "Mul"]),
    "scaled": (
        [node("Mul", "x minus", "n"), *GATE[1:], node("Div", "x d", "y")],
        ["Mul", "Sigmoid", "Mul"],
    ),
    "the other way": ([node("Exp", "x", "e"), GATE[2], node("Div", "one d", "y")], ["Neg", "Sigmoid"]),
    "softplus": ([node("Exp", "x", "e"), GATE[2], node("Log", "d", "y")], ["Softplus"]),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_recognised(form: str) -> None:
    nodes, expected = FORMS[form]
    model = graph([node("Relu", "w", "x"), *nodes], {"w": (50, 3)}, "y", CONSTANTS)
    assert changes(fuse_logistic, model) == 1
    assert ops(model) == ["Relu", *expected]


@pytest.mark.parametrize(
    "nodes",
    [
        [*GATE[:2], node("Add", "e two", "d"), node("Div", "x d", "y")],
        [*GATE, node("Div", "d x", "y")],
        [node("Neg", "x", "n"), node("Cos", "n", "e"), node("Add", "e two", "d"), node("Log", "d", "y")],
    ],
    ids=["another sum", "the other quotient", "another function"],
)
def test_other_forms_stay(nodes: list[onnx.NodeProto]) -> None:
    model = graph([node("Softplus", "w", "x"), *nodes], {"w": (50, 3)}, "y", CONSTANTS)
    assert changes(fuse_logistic, model) == 0
