from __future__ import annotations

from typing import Any

import pytest

from qconv.prepare.resolve_auto_pad import resolve_auto_pad

from .graphs import changes, graph, node, rand


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
def test_convolutions_pad_as_before(mode: str, size: int, stride: int, kernel: int) -> None:
    step = node("Conv", "x w", "y", auto_pad=mode, strides=[stride, 1])
    model = graph([step], {"x": (1, 2, size, 9)}, "y", {"w": rand(3, 2, kernel, 3)})
    assert changes(resolve_auto_pad, model) == 1
    assert "auto_pad" not in model.graph[0].attributes


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        ("MaxPool", {}),
        ("AveragePool", {}),
        ("AveragePool", {"count_include_pad": 1}),
    ],
)
def test_pools_pad_as_before(mode: str, op: str, attributes: dict[str, Any]) -> None:
    step = node(op, "x", "y", auto_pad=mode, kernel_shape=[3, 2], strides=[2, 2], **attributes)
    assert changes(resolve_auto_pad, graph([step], {"x": (1, 2, 8, 7)})) == 1


def test_dilated_windows_stay() -> None:
    step = node("MaxPool", "x", "y", auto_pad="SAME_UPPER", kernel_shape=[3, 2], dilations=[2, 1])
    assert changes(resolve_auto_pad, graph([step], {"x": (1, 2, 8, 7)})) == 0


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize(("stride", "kernel"), [(2, 3), (2, 4), (1, 3), (3, 3)])
def test_transposed_convolutions_pad_as_before(mode: str, stride: int, kernel: int) -> None:
    step = node("ConvTranspose", "x w", "y", auto_pad=mode, strides=[stride, stride])
    model = graph([step], {"x": (1, 2, 5, "W")}, "y", {"w": rand(2, 3, kernel, kernel)})
    assert changes(resolve_auto_pad, model, unknown=4) == 1


def test_unknown_sizes_need_stride_one() -> None:
    for stride, count in ((1, 1), (2, 0)):
        step = node("Conv", "x w", "y", auto_pad="SAME_UPPER", strides=[stride, stride])
        model = graph([step], {"x": ("N", 2, "H", "W")}, "y", {"w": rand(3, 2, 3, 3)})
        assert changes(resolve_auto_pad, model, unknown=6) == count
