from __future__ import annotations

import numpy as np
import pytest

from qconv.prepare.prelu_to_leaky_relu import prelu_to_leaky_relu

from .graphs import Array, changes, graph, node


@pytest.mark.parametrize(
    ("slope", "count"),
    [
        (np.array(0.25, np.float32), 1),
        (np.full((4, 1), 0.1, np.float32), 1),
        (np.linspace(-0.5, 2.0, 4, dtype=np.float32).reshape(4, 1), 1),
        (np.linspace(0.1, 0.9, 12, dtype=np.float32).reshape(4, 3), 0),
    ],
)
def test_one_slope_or_one_for_each_channel(slope: Array, count: int) -> None:
    model = graph([node("PRelu", "x k", "y")], {"x": (2, 4, 3)}, "y", {"k": slope})
    assert changes(prelu_to_leaky_relu, model) == count
