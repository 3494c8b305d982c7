"""The choice under a budget is that of trying everything."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from qconv.analyze.knapsack import choose_under


@pytest.mark.parametrize("seed", range(30))
def test_it_is_the_best_choice(seed: int) -> None:
    rng = np.random.default_rng(seed)
    items = [[(float(c), float(v)) for c, v in zip(rng.integers(1, 20, 3), rng.random(3), strict=True)] for _ in range(5)]
    budget = float(rng.integers(10, 70))
    every = [
        (sum(i[k][1] for i, k in zip(items, choice, strict=True)), choice)
        for choice in itertools.product(range(3), repeat=5)
        if sum(i[k][0] for i, k in zip(items, choice, strict=True)) <= budget
    ]
    found = choose_under(items, budget)
    if not every:
        assert found is None
        return
    assert found is not None
    cost, loss = (sum(item[k][part] for item, k in zip(items, found, strict=True)) for part in (0, 1))
    assert cost <= budget
    assert loss <= min(every)[0] + 1e-9  # sums of other orders


def test_nothing_to_choose() -> None:
    assert choose_under([], 1.0) == []
    assert choose_under([[(2.0, 0.0)]], 1.0) is None
