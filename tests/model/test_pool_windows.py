"""Pools in ceil_mode have the shapes that onnxruntime gives them, and become integer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lower.harness import normal, quantize_graph

WEIGHT = {"w": normal(3, 2, 1, 1)}


@pytest.mark.parametrize("op", ["AveragePool", "MaxPool"])
@pytest.mark.parametrize(
    ("form", "size"),
    [
        ("kernel_shape=[2,2], strides=[3,3]", 7),
        ("kernel_shape=[2,2], strides=[2,2], pads=[0,0,1,1]", 5),
        ("kernel_shape=[3,3], strides=[3,3], pads=[1,1,1,1]", 5),
        ("kernel_shape=[1,1], strides=[2,2]", 6),
        ("kernel_shape=[3,3], strides=[2,2]", 6),
    ],
)
def test_windows_are_those_of_onnxruntime(tmp_path: Path, op: str, form: str, size: int) -> None:
    body = f"p = {op}<ceil_mode=1, {form}>(x) r = Relu(p) y = Conv<kernel_shape=[1,1]>(r, w)"
    feeds = [{"x": normal(1, 2, size, size, seed=seed)} for seed in range(2)]
    result = quantize_graph(tmp_path, f"g (float[1,2,{size},{size}] x) => (float[1,3,A,B] y) {{ {body} }}", WEIGHT, feeds)
    assert not result.quantized.plan.float_nodes
    result.assert_exact()
    assert result.sqnr_db() > 25


@pytest.mark.parametrize("op", ["AveragePool", "MaxPool", "LpPool"])
@pytest.mark.parametrize("side", ["SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize(("kernel", "stride", "size"), [(3, 1, 7), (3, 2, 8), (2, 3, 7)])
def test_ceil_mode_says_nothing_beside_padding_to_the_same_size(
    tmp_path: Path, op: str, side: str, kernel: int, stride: int, size: int
) -> None:
    form = f'kernel_shape=[{kernel},{kernel}], strides=[{stride},{stride}], auto_pad="{side}"'
    body = f"p = {op}<ceil_mode=1, {form}>(x) y = Conv<kernel_shape=[1,1], strides=[2,2]>(p, w)"
    feeds = [{"x": normal(1, 2, size, size, seed=seed)} for seed in range(2)]
    result = quantize_graph(tmp_path, f"g (float[1,2,{size},{size}] x) => (float[1,3,A,B] y) {{ {body} }}", WEIGHT, feeds)
    result.assert_exact()
    assert result.sqnr_db() > 20


@pytest.mark.parametrize("op", ["AveragePool", "MaxPool"])
def test_a_window_that_is_larger_than_its_map_stays_in_float(tmp_path: Path, op: str) -> None:
    body = f"r = Relu(x) y = {op}<kernel_shape=[3,1], strides=[3,1]>(r)"
    feeds = [{"x": normal(1, 2, 1, 5, seed=seed)} for seed in range(2)]
    result = quantize_graph(tmp_path, f"g (float[1,2,1,5] x) => (float[1,2,A,B] y) {{ {body} }}", {}, feeds)
    (reason,) = result.quantized.plan.float_nodes.values()
    assert "its window of 3 is larger than its map of 1" in reason
