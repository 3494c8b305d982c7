"""Forms of ops whose integer kernel would give other values, or that once broke a conversion."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.lower.harness import normal, quantize_graph

POOLS = [
    ("kernel_shape=[3,3], pads=[1,1,1,1], strides=[2,2], ceil_mode=1, count_include_pad=1", "miscounts"),
    ("kernel_shape=[3,3], strides=[2,2], ceil_mode=1, dilations=[2,2]", "no dilations"),
]


@pytest.mark.parametrize(("attributes", "why"), POOLS)
def test_a_pool_that_the_integer_kernel_computes_otherwise_stays_in_float(tmp_path: Path, attributes: str, why: str) -> None:
    feeds = [{"x": normal(1, 3, 10, 12, seed=i) + np.float32(1)} for i in range(2)]
    text = f"g (float[1,3,10,12] x) => (float[1,3,H,W] y) {{ y = AveragePool<{attributes}>(x) }}"
    result = quantize_graph(tmp_path, text, {}, feeds)
    assert why in result.quantized.plan.float_nodes["averagepool0"]
    assert result.sqnr_db() > 35


def test_ceil_mode_that_adds_no_window_is_floor(tmp_path: Path) -> None:
    feeds = [{"x": normal(1, 3, 9, 11, seed=i) + np.float32(1)} for i in range(2)]
    body = "y = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1], strides=[2,2], ceil_mode=1, count_include_pad=1>(x)"
    result = quantize_graph(tmp_path, f"g (float[1,3,9,11] x) => (float[1,3,5,6] y) {{ {body} }}", {}, feeds)
    assert "QLinearConv" in result.ops and not result.quantized.plan.float_nodes
    result.assert_exact()


@pytest.mark.parametrize("group", [1, 2, 4])
def test_a_grouped_transposed_convolution_has_a_scale_per_output_channel(tmp_path: Path, group: int) -> None:
    outputs = 8
    weight = normal(4, outputs // group, 3, 3)
    unequal = np.geomspace(0.01, 10, outputs, dtype=np.float32)  # by output channel, which is group major
    share = 4 // group
    for channel in range(outputs):
        block, column = divmod(channel, outputs // group)
        weight[block * share : (block + 1) * share, column] *= unequal[channel]
    body = f"c = ConvTranspose<group={group}, strides=[2,2], pads=[1,1,1,1]>(x, w, b) y = Conv<group={outputs}>(c, v)"
    weights = {"w": weight, "b": unequal, "v": (1 / unequal).reshape(outputs, 1, 1, 1)}
    feeds = [{"x": normal(1, 4, 6, 6, seed=i)} for i in range(2)]
    result = quantize_graph(tmp_path, f"g (float[1,4,6,6] x) => (float[1,8,11,11] y) {{ {body} }}", weights, feeds)
    assert result.quantized.plan.tensors["w"].scale.shape == (outputs,)
    result.assert_exact()


def test_a_pad_beyond_a_fixed_range_has_a_range_of_its_own(tmp_path: Path) -> None:
    weights = {"p": np.asarray([0, 0, 1, 0, 0, 0]), "v": np.asarray(1.5, np.float32)}
    feeds = [{"x": normal(1, 4, 6, seed=i, scale=3)} for i in range(2)]
    result = quantize_graph(tmp_path, "g (float[1,4,6] x) => (float[1,4,7] y) { t = Tanh(x) y = Pad(t, p, v) }", weights, feeds)
    assert result.sqnr_db() > 35
    result.assert_exact()


def test_a_scalar_bias_and_several_exponents_are_converted(tmp_path: Path) -> None:
    weights = {"w": normal(16, 1), "e": np.asarray(0.5, np.float32), "p": np.asarray([2, 3, 1, 2], np.float32)}
    text = "g (float[1,4,16] x, float[1,4] z) => (float[1,4,1] y, float[1,4] s) { t = MatMul(x, w) y = Add(t, e) s = Pow(z, p) }"
    feeds = [{"x": normal(1, 4, 16, seed=i), "z": normal(1, 4, seed=i)} for i in range(2)]
    result = quantize_graph(tmp_path, text, weights, feeds)
    assert result.quantized.plan.float_nodes == {}
    assert result.sqnr_db() > 25  # of few cubes
    result.assert_exact()
