"""Roots of sums that may be next to nothing, and products of many factors, in wide integers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qconv.model.session import open_session
from tests.lower.harness import Array, Result, normal, quantize_graph

_AXES = {"axes": np.asarray([2], np.int64)}
_FACTORS = np.float32(0.3) + np.abs(normal(6, 1, 4, 8, seed=1))


def _codes_off(result: Result, feeds: list[dict[str, Array]]) -> int:
    """The largest difference from the float network on the codes of its input, in codes of y."""
    x, y = (result.quantized.plan.tensors[name] for name in "xy")
    seen = [{"x": x.dequantize(x.quantize(feed["x"]))} for feed in feeds]
    sessions = open_session(result.path), open_session(result.quantized.model)
    pairs = [[session.run(None, feed)[0] for session in sessions] for feed in seen]
    return max(int(np.abs(y.quantize(a).astype(int) - y.quantize(b).astype(int)).max()) for a, b in pairs)


@pytest.mark.parametrize("square", ["s = Mul(x, x)", "s = Pow(x, two)"])
def test_a_root_of_small_sums_is_off_by_few_codes(tmp_path: Path, square: str) -> None:
    feeds = [{"x": normal(1, 16, 2, seed=seed) * normal(1, 16, 1, seed=seed + 50)} for seed in range(6)]
    text = f"g (float[1,16,2] x) => (float[1,16,1] y) {{ {square} e = ReduceSum(s, axes) y = Sqrt(e) }}"
    result = quantize_graph(tmp_path, text, {**_AXES, "two": np.asarray(2.0, np.float32)}, feeds)
    result.assert_exact()
    assert result.quantized.audit.integer_only and result.quantized.plan.steep
    assert _codes_off(result, feeds) <= 2


def test_a_product_of_eight_factors_is_off_by_few_codes(tmp_path: Path) -> None:
    feeds = [{"x": x} for x in _FACTORS]
    text = "g (float[1,4,8] x) => (float[1,4,1] y) { y = ReduceProd(x, axes) }"
    result = quantize_graph(tmp_path, text, _AXES, feeds)
    result.assert_exact()
    assert result.quantized.audit.integer_only and result.quantized.plan.steep
    assert _codes_off(result, feeds) <= 2


def test_two_products_in_a_row_stay_codes(tmp_path: Path) -> None:
    text = "g (float[1,4,8] x) => (float[1,4,8] y) { s = Sigmoid(x) g = Mul(x, s) t = Tanh(x) y = Mul(g, t) }"
    result = quantize_graph(tmp_path, text, {}, [{"x": x} for x in _FACTORS])
    result.assert_exact()
    assert not result.quantized.plan.steep
