from __future__ import annotations

from qconv.prepare.sum_to_add import sum_to_add

from .graphs import changes, graph, node, ops


def test_a_sum_is_added_from_left_to_right() -> None:
    model = graph([node("Sum", "a b c d", "y")], {"a": (2, 3), "b": (3,), "c": (2, 1), "d": (2, 3)})
    assert changes(sum_to_add, model) == 1
    assert ops(model) == ["Add", "Add", "Add"]
    assert [step.name for step in model.graph] == ["node_y/add_1", "node_y/add_2", "node_y"]


def test_a_sum_of_one_is_left_to_another_pass() -> None:
    model = graph([node("Sum", "a", "y")], {"a": (2, 3)})
    assert changes(sum_to_add, model) == 0
