"""Convolutions of signals in front of norms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.lower.harness import Array, normal, quantize_graph

_NORMS = {
    "InstanceNormalization": "y = InstanceNormalization(c, one, zero)",
    "LayerNormalization over channels": """t = Transpose<perm=[0,2,1]>(c) n = LayerNormalization(t, one, zero)
        y = Transpose<perm=[0,2,1]>(n)""",
}


def _walks(count: int = 12) -> list[dict[str, Array]]:
    return [{"x": normal(1, 400, seed=seed, scale=0.05).cumsum(1, dtype=np.float32)} for seed in range(count)]


@pytest.mark.parametrize("norm", _NORMS.values(), ids=_NORMS)
def test_differences_of_a_signal_survive_the_norm(tmp_path: Path, norm: str) -> None:
    text = f"g (float[1,400] x) => (float[1,16,79] y) {{ u = Unsqueeze(x, axes) c = Conv<strides=[5]>(u, w) {norm} }}"
    weights = {
        "axes": np.asarray([1], np.int64),
        "w": normal(16, 1, 10, seed=1),
        "one": np.ones(16, np.float32),
        "zero": np.zeros(16, np.float32),
    }
    result = quantize_graph(tmp_path, text, weights, _walks())
    result.assert_exact()
    assert result.quantized.audit.integer_only
    assert result.sqnr_db() > 30


def test_what_else_reads_the_convolution_has_codes(tmp_path: Path) -> None:
    text = """g (float[1,1,400] x) => (float[1,16,79] y)
        { c = Conv<strides=[5]>(x, w) n = InstanceNormalization(c, one, zero) y = Add(n, c) }"""
    weights = {"w": normal(16, 1, 10, seed=1), "one": np.ones(16, np.float32), "zero": np.zeros(16, np.float32)}
    result = quantize_graph(tmp_path, text, weights, [{"x": feed["x"][None]} for feed in _walks()])
    result.assert_exact()
    assert "QLinearConv" in result.ops
