"""Steps by element are made before a tensor is expanded: the same codes, on fewer elements."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.lower.harness import normal, tuned_and_plain

MASK = (
    "u = Unsqueeze(m, axis) e = Expand(u, sizes) c = Cast<to=1>(e) r = Relu(x) p = Mul(r, c) y = ReduceSum<keepdims=0>(p, along)"
)


def test_a_mask_is_cast_before_it_is_expanded(tmp_path: Path) -> None:
    text = f"g (float[1,6,12] x, int64[1,6] m) => (float y) {{ {MASK} }}"
    weights = {"axis": np.asarray([2]), "sizes": np.asarray([1, 6, 12]), "along": np.asarray([1])}
    mask = np.asarray([[1, 1, 1, 1, 0, 0]])
    feeds = [{"x": normal(1, 6, 12, seed=seed), "m": np.roll(mask, seed, 1)} for seed in range(4)]
    results = tuned_and_plain(tmp_path, text, weights, feeds)
    casts, expands = ([result.ops.index(op) for result in results] for op in ("Cast", "Expand"))
    assert casts[0] < expands[0] and casts[1] > expands[1]
