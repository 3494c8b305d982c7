from __future__ import annotations

import numpy as np
import pytest

from qconv.model.graph import const_array
from qconv.prepare.normalize_affine import normalize_affine

from .graphs import changes, graph, node, ops, positive, rand


@pytest.mark.parametrize(
    ("op", "inputs", "wanted", "constant_at"),
    [
        ("Mul", "k x", "Mul", 1),
        ("Div", "x k", "Mul", 1),
        ("Add", "k x", "Add", 1),
        ("Sub", "x k", "Add", 1),
        ("Sub", "k x", "Sub", 0),
        ("Mul", "x k", "Mul", 1),
    ],
)
@pytest.mark.parametrize("shape", [(), (1, 1, 1), (3,), (4, 3), (2, 4, 3)])
def test_one_node_takes_its_canonical_form(op: str, inputs: str, wanted: str, constant_at: int, shape: tuple[int, ...]) -> None:
    model = graph([node(op, inputs, "y")], {"x": (2, 4, 3)}, "y", {"k": positive(*shape)})
    changes(normalize_affine, model)
    assert ops(model) == [wanted]
    assert const_array(model.graph[0].inputs[constant_at]) is not None
    assert changes(normalize_affine, model) == 0


def test_a_chain_of_scalars_is_a_scale_and_a_shift() -> None:
    nodes = [node("Add", "x t", "a"), node("Div", "a d", "b"), node("Sub", "b t", "y")]
    constants = {"t": np.array(3, np.float32), "d": np.array(6, np.float32)}
    model = graph(nodes, {"x": ("N", 4)}, "y", constants)
    assert changes(normalize_affine, model) == 1
    assert ops(model) == ["Mul", "Add"]
    assert changes(normalize_affine, model) == 0


def test_a_map_that_changes_nothing_goes() -> None:
    nodes = [node("Relu", "x", "r"), node("Mul", "r k", "a"), node("Div", "a k", "b"), node("Neg", "b", "y")]
    model = graph(nodes, {"x": ("N", 4)}, "y", {"k": np.array(2, np.float32)})
    assert changes(normalize_affine, model) == 1
    assert ops(model) == ["Relu", "Neg"]


def test_a_division_by_zero_and_one_by_a_value_stay() -> None:
    nodes = [node("Div", "x k", "z"), node("Div", "one x", "y")]
    constants = {"k": np.array([0, 1, 2], np.float32), "one": np.array(1, np.float32)}
    model = graph(nodes, {"x": (2, 3)}, "y z", constants)
    assert changes(normalize_affine, model) == 0
    assert ops(model) == ["Div", "Div"]


def test_integers_stay() -> None:
    nodes = [node("Shape", "x", "s"), node("Sub", "s k", "y")]
    model = graph(nodes, {"x": ("N", 3)}, "y", {"k": np.array([1, 1], np.int64)})
    assert changes(normalize_affine, model) == 0


def test_both_scale_and_shift_along_the_last_axis_stay_two_nodes() -> None:
    nodes = [node("Mul", "x k", "a"), node("Add", "a t", "y")]
    model = graph(nodes, {"x": ("N", 5, 3)}, "y", {"k": positive(3), "t": rand(3)})
    assert changes(normalize_affine, model) == 0
    assert ops(model) == ["Mul", "Add"]
