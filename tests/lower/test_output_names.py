"""Outputs keep their names, whatever op makes them, and constants of any rank make a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.lower.harness import Array, normal, quantize_graph

ENDS = {
    "integers": ("int64[n,4] y", "y = Cast<to=7>(c)"),
    "pixels": ("uint8[n,4] y", "s = Sigmoid(c) m = Mul(s, k) y = Cast<to=2>(m)"),
    "truth values": ("bool[n,4] y", "y = Cast<to=9>(c)"),
    "a test": ("bool[n,4] y", "y = IsNaN(c)"),
    "a comparison": ("bool[n,4] y", "y = Greater(c, k)"),
    "places": ("int64[n,1] y", "y = ArgMax<axis=1>(c)"),
    "an input": ("float[n,4] y, float[n,4] x", "y = Relu(c)"),
}


@pytest.mark.parametrize("end", ENDS)
def test_an_output_keeps_its_name(tmp_path: Path, end: str) -> None:
    outputs, body = ENDS[end]
    weights = {"w": normal(4, 4), "k": np.asarray(0.5, np.float32)}
    feeds = [{"x": normal(1, 4, seed=seed) * 3} for seed in range(6)]
    result = quantize_graph(tmp_path, f"g (float[n,4] x) => ({outputs}) {{ c = MatMul(x, w) {body} }}", weights, feeds)
    assert [value.name for value in result.quantized.model.graph.outputs] == [part.split()[-1] for part in outputs.split(", ")]
    result.assert_exact()


@pytest.mark.parametrize("shape", [(), (1,), (1, 1), (1, 1, 1)])
def test_the_rank_of_a_single_number_does_not_matter(tmp_path: Path, shape: tuple[int, ...]) -> None:
    power: Array = np.zeros(shape, np.float32)
    text = "g (float[1,4,3] x) => (float[1,4,3] y) { t = Mod<fmod=1>(x, k) p = Pow(t, z) y = Mul(p, x) }"
    feeds = [{"x": normal(1, 4, 3, seed=seed)} for seed in range(6)]
    result = quantize_graph(tmp_path, text, {"k": power + np.float32(0.7), "z": power}, feeds)
    result.assert_exact()
    assert result.sqnr_db() > 25
