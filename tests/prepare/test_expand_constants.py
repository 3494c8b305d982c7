from __future__ import annotations

from onnx import helper

from qconv.prepare.expand_constants import expand_constants

from .graphs import changes, graph, ints, node, ops


def test_a_computed_shape_filled_with_a_number() -> None:
    value = helper.make_tensor("v", 1, [1], [2.5])
    nodes = [node("Shape", "x", "s"), node("ConstantOfShape", "s", "c", value=value), node("Add", "x c", "y")]
    model = graph(nodes, {"x": ("N", 3)})
    assert expand_constants(model) == 1
    assert ops(model) == ["Shape", "Expand", "Add"]
    assert expand_constants(model) == 0


def test_zeros_are_the_default() -> None:
    nodes = [node("Shape", "x", "s"), node("ConstantOfShape", "s", "c"), node("Add", "x c", "y")]
    assert changes(expand_constants, graph(nodes, {"x": (2, 3)})) == 1


def test_integers_are_left() -> None:
    value = helper.make_tensor("v", 7, [1], [2])
    nodes = [node("ConstantOfShape", "s", "c", value=value), node("Expand", "x c", "y")]
    assert expand_constants(graph(nodes, {"x": (1, 3)}, constants={"s": ints(2)})) == 0
