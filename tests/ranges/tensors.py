"""Tensors that methods of search are compared on."""

from __future__ import annotations

import numpy as np
import pytest

RNG = np.random.default_rng(0)
ONE_SIDED = {
    "rectified": np.maximum(RNG.standard_normal(20_000), 0),
    "exponential": RNG.exponential(1.0, 20_000),
    "outlier": np.append(RNG.exponential(1.0, 20_000), 40.0),
    "negative": -RNG.exponential(1.0, 20_000),
    "clamped": np.clip(RNG.normal(2, 3, 20_000), 0, 6),
}
TWO_SIDED = {"normal": RNG.standard_normal(20_000), "laplace": RNG.laplace(0, 1, 20_000), "skewed": RNG.gumbel(0, 1, 20_000)}
BITS = pytest.mark.parametrize("bits", [8, 6, 4])
