"""A Clip whose minimum is above its maximum gives the maximum everywhere, as onnxruntime does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.lower.harness import normal, quantize_graph


@pytest.mark.parametrize(("lo", "hi"), [(2, 1), (-1, -2), (1, -1), (0, -3), (1, 0)])
@pytest.mark.parametrize("body", ["y = Clip(c, lo, hi)", "d = Clip(c, lo, hi) y = Conv(d, w)", "r = Relu(c) y = Clip(r, lo, hi)"])
def test_the_maximum_wins(tmp_path: Path, lo: float, hi: float, body: str) -> None:
    weights = {"w": normal(4, 4, 1, 1), "lo": np.asarray(lo, np.float32), "hi": np.asarray(hi, np.float32)}
    feeds = [{"x": normal(1, 4, 6, 6, seed=i)} for i in range(3)]
    text = f"g (float[1,4,6,6] x) => (float[1,4,6,6] y) {{ c = Conv(x, w) {body} }}"
    result = quantize_graph(tmp_path, text, weights, feeds)
    assert result.sqnr_db() > 30
    result.assert_exact()
