from __future__ import annotations

import pytest

from qconv.model.graph import attr_int
from qconv.prepare.fuse_softmax import fuse_softmax

from .graphs import changes, graph, node, ops


@pytest.mark.parametrize(
    ("axis", "perm", "turned"), [(1, [0, 2, 1], 1), (-2, [0, 2, 1], 1), (2, [0, 2, 1], 0), (0, [0, 2, 1], 0)]
)
def test_a_transpose_that_brings_the_axis_last_comes_first(axis: int, perm: list[int], turned: int) -> None:
    nodes = [node("Softmax", "x", "p", axis=axis), node("Transpose", "p", "t", perm=perm), node("Relu", "t", "y")]
    model = graph(nodes, {"x": (2, 3, 4)}, "y")
    assert changes(fuse_softmax, model) == turned
    assert ops(model) == (["Transpose", "Softmax", "Relu"] if turned else ["Softmax", "Transpose", "Relu"])
    assert not turned or attr_int(model.graph[1], "axis", 1) == -1


def test_probabilities_that_are_read_elsewhere_stay() -> None:
    nodes = [node("Softmax", "x", "p", axis=1), node("Transpose", "p", "t", perm=[0, 2, 1]), node("MatMul", "t p", "y")]
    assert changes(fuse_softmax, graph(nodes, {"x": (2, 3, 4)}, "y")) == 0
