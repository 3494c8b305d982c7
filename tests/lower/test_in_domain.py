"""A root that stays in float behind codes: distances to centres, of samples that lie on one of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from qconv.config import QuantConfig
from qconv.model.session import open_session
from tests.lower.harness import normal, quantize_graph

# |x - c|^2 = |x|^2 - 2 x c + |c|^2, of which codes make numbers below zero where x is nearly c.
TEXT = """g (float[n,6] x) => (float[n,3] y) {
    s = ReduceSumSquare(x, axes) p = MatMul(x, minus_two_c) a = Add(s, p) d = Add(a, squares) y = Sqrt(d)
}"""


def test_a_root_of_rounded_numbers_is_a_number(tmp_path: Path) -> None:
    centres = normal(3, 6) * 3
    weights = {
        "axes": np.asarray([1]), "minus_two_c": np.ascontiguousarray(-2 * centres.T),
        "squares": (centres**2).sum(axis=1) + np.float32(1e-3),
    }  # fmt: skip
    feeds = [{"x": centres[[i % 3]] + normal(1, 6, seed=i) * np.float32(0.01)} for i in range(24)]
    result = quantize_graph(tmp_path, TEXT, weights, feeds, config=QuantConfig(exclude=("Sqrt",)))
    assert "sqrt4" in result.quantized.plan.float_nodes
    session = open_session(result.quantized.model)
    found = [session.run(None, feed)[0] for feed in feeds]
    assert np.isfinite(found).all()
    assert min(array.min() for array in found) == 0  # where the bound is met
