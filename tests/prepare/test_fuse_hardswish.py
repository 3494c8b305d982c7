from __future__ import annotations

import numpy as np
import onnx
import pytest

from qconv.prepare.fuse_hardswish import fuse_hardswish

from .graphs import changes, graph, node, ops

CONSTANTS = {
    "three": np.array(3, np.float32),
    "zero": np.array(0, np.float32),
    "six": np.array(6, np.float32),
    "sixth": np.array(1 / 6, np.float32),
    "two": np.array(2, np.float32),
}
GATE = [node("Add", "x three", "s"), node("Clip", "s zero six", "c")]
FORMS = {
    "product first": [*GATE, node("Mul", "x c", "p"), node("Div", "p six", "y")],
    "gate first": [*GATE, node("Div", "c six", "g"), node("Mul", "g x", "y")],
    "reciprocal": [*GATE, node("Mul", "sixth c", "g"), node("Mul", "x g", "y")],
    "scaled input": [*GATE, node("Div", "x six", "g"), node("Mul", "g c", "y")],
    "hard sigmoid": [node("HardSigmoid", "x", "g", alpha=1 / 6, beta=0.5), node("Mul", "x g", "y")],
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_recognised(form: str) -> None:
    nodes = [node("Neg", "w", "x"), *FORMS[form], node("Neg", "y", "z")]
    model = graph(nodes, {"w": (50, 3)}, "z", CONSTANTS)
    assert changes(fuse_hardswish, model) == 1
    assert ops(model) == ["Neg", "HardSwish", "Neg"]


@pytest.mark.parametrize(
    "nodes",
    [
        [*GATE, node("Mul", "x c", "y")],
        [*GATE, node("Mul", "x c", "p"), node("Div", "p two", "y")],
        [*GATE, node("Mul", "v c", "p"), node("Div", "p six", "y")],
        [node("HardSigmoid", "x", "g"), node("Mul", "x g", "y")],
        [*GATE, node("Div", "c v", "g"), node("Mul", "g x", "y")],
    ],
)
def test_other_products_stay(nodes: list[onnx.NodeProto]) -> None:
    model = graph(nodes, {"x": (50, 3), "v": (50, 3)}, "y", CONSTANTS)
    assert changes(fuse_hardswish, model) == 0


def test_a_gate_that_others_read_stays_for_them() -> None:
    model = graph(FORMS["gate first"], {"x": (50, 3)}, "y g", CONSTANTS)
    assert changes(fuse_hardswish, model) == 0
    model = graph([*FORMS["hard sigmoid"], node("Neg", "g", "z")], {"x": (50, 3)}, "y z")
    assert changes(fuse_hardswish, model) == 1
    assert ops(model) == ["HardSigmoid", "HardSwish", "Neg"]
