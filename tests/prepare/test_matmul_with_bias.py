from __future__ import annotations

import pytest

from qconv.model.graph import const_array, written_as
from qconv.prepare.matmul_with_bias import matmul_with_bias

from .graphs import changes, graph, node, ops, rand


@pytest.mark.parametrize("bias", [(4,), (1, 1, 4)])
@pytest.mark.parametrize("order", ["c b", "b c"])
def test_a_product_of_many_dimensions_and_its_bias_are_a_gemm_of_rows(bias: tuple[int, ...], order: str) -> None:
    nodes = [node("MatMul", "x w", "c"), node("Add", order, "y")]
    model = graph(nodes, {"x": ("N", 3, 5)}, "y", {"w": rand(5, 4), "b": rand(*bias)})
    assert changes(matmul_with_bias, model) == 1
    assert ops(model) == ["Reshape", "Gemm", "Reshape"]
    assert [step.name for step in model.graph][1:] == ["node_c", "node_y"]
    assert [written_as(step) for step in model.graph] == ["Reshape", "MatMul", "Add"]
    assert const_array(model.graph[2].inputs[1]).tolist() == [-1, 3, 4]  # type: ignore[union-attr]


def test_unknown_sizes_are_carried_along() -> None:
    nodes = [node("MatMul", "x w", "c"), node("Add", "c b", "y")]
    model = graph(nodes, {"x": ("N", "T", 5)}, "y", {"w": rand(5, 4), "b": rand(4)})
    assert changes(matmul_with_bias, model) == 1
    assert sorted(ops(model)) == ["Concat", "Gemm", "Reshape", "Reshape", "Shape"]


@pytest.mark.parametrize(
    ("x", "w", "bias", "outputs"),
    [
        ((2, 3, 5), (2, 5, 4), (4,), "y"),
        ((2, 3, 5), (5, 4), (3, 1), "y"),
        ((2, 3, 5), (5, 4), (4,), "y c"),
        ((2, 3, 5), (5, 4), (1, 1, 1, 4), "y"),
        ((0, 3, 5), (5, 4), (4,), "y"),
    ],
)
def test_other_products_stay(x: tuple[int, ...], w: tuple[int, ...], bias: tuple[int, ...], outputs: str) -> None:
    nodes = [node("MatMul", "x w", "c"), node("Add", "c b", "y")]
    assert changes(matmul_with_bias, graph(nodes, {"x": x}, outputs, {"w": rand(*w), "b": rand(*bias)})) == 0
