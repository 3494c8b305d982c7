from __future__ import annotations

import itertools

import numpy as np
import onnx
import pytest

from qconv.prepare.normalize_clamps import Clamp, normalize_clamps

from .graphs import changes, graph, node, ops, rand

CONSTANTS = {
    "zero": np.array(0, np.float32),
    "one": np.array([1], np.float32),
    "minus": np.array(-0.5, np.float32),
    "inf": np.array(np.inf, np.float32),
    "least": np.array(np.finfo(np.float32).min, np.float32),
    "row": np.array([0, 1, 0.5], np.float32),
}


@pytest.mark.parametrize(
    ("step", "wanted"),
    [
        (node("Max", "x zero", "y"), ["Relu"]),
        (node("Max", "zero x minus", "y"), ["Relu"]),
        (node("Max", "x minus", "y"), ["Clip"]),
        (node("Min", "one x", "y"), ["Clip"]),
        (node("Clip", "x zero", "y"), ["Relu"]),
        (node("Clip", "x zero inf", "y"), ["Relu"]),
        (node("Clip", "x least one", "y"), ["Clip"]),
        (node("LeakyRelu", "x", "y", alpha=0.0), ["Relu"]),
    ],
)
def test_one_clamp_takes_its_canonical_form(step: onnx.NodeProto, wanted: list[str]) -> None:
    model = graph([step], {"x": ("N", 3)}, "y", CONSTANTS)
    assert changes(normalize_clamps, model) == 1
    assert ops(model) == wanted
    assert changes(normalize_clamps, model) == 0


@pytest.mark.parametrize(
    "step",
    [
        node("Relu", "x", "y"),
        node("Clip", "x minus one", "y"),
        node("Max", "x row", "y"),
        node("LeakyRelu", "x", "y", alpha=0.1),
    ],
)
def test_other_nodes_stay(step: onnx.NodeProto) -> None:
    model = graph([step], {"x": (2, 3)}, "y", CONSTANTS)
    assert changes(normalize_clamps, model) == 0


def test_a_clip_to_nothing_goes() -> None:
    model = graph([node("Neg", "x", "h"), node("Clip", "h least inf", "y")], {"x": (2, 3)}, "y", CONSTANTS)
    assert changes(normalize_clamps, model) == 1
    assert ops(model) == ["Neg"]


CLAMPS = (
    "Relu h{}",
    "Clip h{} zero one",
    "Clip h{} minus",
    "Clip h{} _ zero",
    "Min h{} one",
    "Max h{} one",
    "Clip h{} one minus",
)


@pytest.mark.parametrize(("first", "second"), list(itertools.product(CLAMPS, CLAMPS)))
def test_two_clamps_are_one(first: str, second: str) -> None:
    split = [text.format(i).split(" ", 1) for i, text in enumerate((first, second))]
    steps = [node(op, inputs, f"h{i + 1}") for i, (op, inputs) in enumerate(split)]
    nodes = [node("Neg", "x", "h0"), *steps, node("Neg", "h2", "y")]
    model = graph(nodes, {"x": (40, 3)}, "y", CONSTANTS)
    assert changes(normalize_clamps, model) >= 1
    assert len(model.graph) == 3


def test_a_clamp_that_others_read_stays() -> None:
    nodes = [node("Relu", "x", "h"), node("Min", "h one", "y"), node("Neg", "h", "z")]
    model = graph(nodes, {"x": (40, 3)}, "y z", CONSTANTS)
    assert changes(normalize_clamps, model) == 1
    assert ops(model) == ["Relu", "Clip", "Neg"]


def test_the_composition_of_clamps_is_exact() -> None:
    bounds = [Clamp(*pair) for pair in itertools.product([-np.inf, -1.0, 0.5, 2.0], [-2.0, 0.0, 1.0, np.inf])]
    for inner, outer in itertools.product(bounds, bounds):
        for value in rand(50):
            assert inner.then(outer).of(float(value)) == outer.of(inner.of(float(value)))
