from __future__ import annotations

import pytest

from qconv.prepare.matmul_to_gemm import matmul_to_gemm

from .graphs import changes, graph, node, ops, rand


@pytest.mark.parametrize("bias", [(4,), (1, 4), (), (1,)])
@pytest.mark.parametrize("order", ["c b", "b c"])
def test_a_product_of_matrices_and_its_bias_are_a_gemm(bias: tuple[int, ...], order: str) -> None:
    nodes = [node("MatMul", "x w", "c"), node("Add", order, "y")]
    model = graph(nodes, {"x": ("N", 5)}, "y", {"w": rand(5, 4), "b": rand(*bias)})
    assert changes(matmul_to_gemm, model) == 1
    assert ops(model) == ["Gemm"]
    assert (model.graph[0].name, model.graph[0].outputs[0].name) == ("node_c", "y")


@pytest.mark.parametrize(
    ("x", "w", "bias", "outputs"),
    [
        ((2, 3, 5), (5, 4), (4,), "y"),
        ((3, 5), (2, 5, 4), (4,), "y"),
        ((3, 5), (5, 4), (3, 1), "y"),
        ((3, 5), (5, 4), (4,), "y c"),
    ],
)
def test_other_products_stay(x: tuple[int, ...], w: tuple[int, ...], bias: tuple[int, ...], outputs: str) -> None:
    nodes = [node("MatMul", "x w", "c"), node("Add", "c b", "y")]
    assert changes(matmul_to_gemm, graph(nodes, {"x": x}, outputs, {"w": rand(*w), "b": rand(*bias)})) == 0
