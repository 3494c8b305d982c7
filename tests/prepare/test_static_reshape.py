from __future__ import annotations

from qconv.model.graph import const_array
from qconv.prepare.static_reshape import static_reshape

from .graphs import changes, graph, ints, node

CONSTANTS = {"first": ints(0), "zero": ints(0), "minus": ints(-1), "four": ints(4), "pair": ints(2, 3), "end": ints(1)}


def test_a_batch_size_that_is_carried_along_is_copied() -> None:
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s first", "n"),
        node("Concat", "n minus", "t", axis=0),
        node("Reshape", "x t", "y"),
    ]
    model = graph(nodes, {"x": ("N", 4, "H", "W")}, "y", CONSTANTS)
    assert changes(static_reshape, model, unknown=3) == 1
    assert list(const_array(model.graph[-1].inputs[1])) == [0, -1]  # type: ignore[arg-type]


def test_a_size_of_another_value_with_the_same_name_is_copied() -> None:
    nodes = [
        node("Relu", "x", "r"),
        node("Shape", "x", "s"),
        node("Slice", "s zero end", "n"),
        node("Concat", "n four minus", "t", axis=0),
        node("Reshape", "r t", "y"),
    ]
    model = graph(nodes, {"x": ("N", 4, "H", "W")}, "y", CONSTANTS)
    assert changes(static_reshape, model, unknown=3) == 1
    assert list(const_array(model.graph[-1].inputs[1])) == [0, 4, -1]  # type: ignore[arg-type]


def test_one_unknown_size_elsewhere_is_inferred() -> None:
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s pair", "n"),
        node("Concat", "four n", "t", axis=0),
        node("Reshape", "x t", "y"),
    ]
    model = graph(nodes, {"x": (1, 4, "H", 5)}, "y", CONSTANTS)
    assert changes(static_reshape, model, unknown=3) == 1
    assert list(const_array(model.graph[-1].inputs[1])) == [4, -1, 5]  # type: ignore[arg-type]


def test_two_unknown_sizes_that_move_stay_computed() -> None:
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s pair", "n"),
        node("Concat", "four n", "t", axis=0),
        node("Reshape", "x t", "y"),
    ]
    model = graph(nodes, {"x": (1, 4, "H", "W")}, "y", CONSTANTS)
    assert changes(static_reshape, model, unknown=3) == 0
