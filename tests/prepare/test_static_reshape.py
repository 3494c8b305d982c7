from __future__ import annotations

from qconv.model.graph import const_array
from qconv.prepare.static_reshape import static_reshape

from .graphs import changes, graph, ints, node, rand

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


def test_the_size_that_a_target_infers_is_a_quotient_where_the_batch_cancels() -> None:
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s first", "n"),
        node("Concat", "n four minus", "t", axis=0),
        node("Reshape", "x t", "rows"),
        node("Transpose", "rows", "turned", perm=[0, 2, 1]),
        node("MatMul", "turned w", "p"),
        node("Relu", "p", "r"),
        node("Shape", "p", "again"),
        node("Reshape", "r again", "y"),
    ]
    model = graph(nodes, {"x": ("N", 4, 3, 5)}, "y", CONSTANTS | {"w": rand(4, 6)})
    assert changes(static_reshape, model, unknown=3) == 2
    first, second = (item for item in model.graph if item.op_type == "Reshape")
    assert list(const_array(first.inputs[1])) == [0, 4, 15]  # type: ignore[arg-type]
    assert str(second.outputs[0].shape) == "[N,15,6]"


def test_a_quotient_needs_every_unknown_size() -> None:
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s first", "n"),
        node("Concat", "n four minus", "t", axis=0),
        node("Reshape", "x t", "rows"),
        node("Transpose", "rows", "y", perm=[0, 2, 1]),
    ]
    model = graph(nodes, {"x": ("N", 4, 3, "W")}, "y", CONSTANTS)
    assert changes(static_reshape, model, unknown=3) == 1
    assert list(const_array(model.graph[-2].inputs[1])) == [0, 4, -1]  # type: ignore[arg-type]


def test_sizes_that_an_expand_carries_are_known_behind_it() -> None:
    """As exporters write a token for each sample: cls.expand(n, -1, -1), whose -1 are chosen by a comparison with the sizes."""
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s first", "n"),
        node("Concat", "n minus minus", "wanted", axis=0),
        node("Equal", "wanted minuses", "kept"),
        node("Where", "kept ones wanted", "sizes"),
        node("Expand", "token sizes", "tokens"),
        node("Concat", "tokens x", "all", axis=1),
        node("Shape", "all", "s2"),
        node("Gather", "s2 last", "width"),
        node("Div", "width two", "half"),
        node("Gather", "s2 one", "count"),
        node("Concat", "n count two half", "t", axis=0),
        node("Reshape", "all t", "y"),
    ]
    more = {"minuses": ints(-1, -1, -1), "ones": ints(1, 1, 1), "last": ints(2), "one": ints(1), "two": ints(2)}
    model = graph(nodes, {"x": ("N", 4, 6)}, "y", CONSTANTS | more | {"token": rand(1, 1, 6)})
    assert changes(static_reshape, model, unknown=3) == 1
    assert str(model.graph[-1].outputs[0].shape) == "[N,5,2,3]"
