from __future__ import annotations

from typing import Any

import pytest

from qconv.prepare.normalize_pool import normalize_pool

from .graphs import changes, graph, ints, node, ops


@pytest.mark.parametrize(("keepdims", "wanted"), [(1, ["GlobalAveragePool"]), (0, ["GlobalAveragePool", "Squeeze"])])
@pytest.mark.parametrize(("x", "axes"), [((2, 3, "L"), (2,)), (("N", 3, "H", "W"), (-1, 2)), ((1, 2, 3, 4, 2), (2, 3, 4))])
def test_a_mean_over_space_is_a_pool(x: tuple[int | str, ...], axes: tuple[int, ...], keepdims: int, wanted: list[str]) -> None:
    model = graph([node("ReduceMean", "x axes", "y", keepdims=keepdims)], {"x": x}, "y", {"axes": ints(*axes)})
    assert changes(normalize_pool, model, unknown=5) == 1
    assert ops(model) == wanted
    assert model.graph[0].name == "node_y"
    assert model.graph[-1].outputs[0].name == "y"


def test_a_mean_behind_a_transpose_is_a_pool() -> None:
    nodes = [node("Transpose", "x", "t", perm=[0, 2, 3, 1]), node("ReduceMean", "t axes", "y", keepdims=0)]
    model = graph(nodes, {"x": ("N", 3, 4, 5)}, "y", {"axes": ints(1, 2)})
    assert changes(normalize_pool, model) == 1
    assert ops(model) == ["Transpose", "GlobalAveragePool", "Squeeze"]


@pytest.mark.parametrize("axes", [(1,), (2,), (1, 2, 3), (0, 2, 3)])
def test_other_means_stay(axes: tuple[int, ...]) -> None:
    model = graph([node("ReduceMean", "x axes", "y")], {"x": (2, 3, 4, 5)}, "y", {"axes": ints(*axes)})
    assert changes(normalize_pool, model) == 0


def test_the_moments_of_a_normalization_stay() -> None:
    nodes = [
        node("ReduceMean", "x axes", "mean"),
        node("Sub", "x mean", "d"),
        node("Mul", "d d", "square"),
        node("ReduceMean", "square axes", "variance"),
        node("Div", "d variance", "y"),
    ]
    model = graph(nodes, {"x": (2, 3, 4)}, "y", {"axes": ints(-1)})
    assert changes(normalize_pool, model) == 0


@pytest.mark.parametrize(
    ("attributes", "count"),
    [
        ({"kernel_shape": [4, 5]}, 1),
        ({"kernel_shape": [4, 5], "strides": [4, 5], "count_include_pad": 1}, 1),
        ({"kernel_shape": [4, 4]}, 0),
        ({"kernel_shape": [4, 5], "pads": [0, 0, 1, 1]}, 0),
    ],
)
def test_an_average_over_the_whole_map_is_global(attributes: dict[str, Any], count: int) -> None:
    model = graph([node("AveragePool", "x", "y", **attributes)], {"x": ("N", 3, 4, 5)})
    assert changes(normalize_pool, model) == count


def test_an_average_over_an_unknown_map_stays() -> None:
    model = graph([node("AveragePool", "x", "y", kernel_shape=[4, 5])], {"x": (1, 3, 4, "W")})
    assert changes(normalize_pool, model, unknown=5) == 0
