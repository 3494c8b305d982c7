"""Channels that are added for the sake of speed: same results, and numbers that are those of their scales."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qconv.config import QuantConfig
from qconv.integer.language.multipliers import multipliers_of
from qconv.integer.multiplier_table import rows_of
from tests.lower.harness import Result, normal, quantize_graph

# 24 channels become 32 in the depthwise layer, in the one before and as inputs of the one behind; 3 inputs become 4.
TEXT = """g (float[1,3,8,8] x) => (float[1,8,8,8] y) {
    [before] a = Conv (x, u, b)
    [depthwise] c = Conv <group = 24, pads = [1, 1, 1, 1]> (a, v, b)
    [behind] y = Conv (c, w)
}"""


def widened(folder: Path, config: QuantConfig = QuantConfig()) -> Result:
    """Channels of different ranges; the least and the greatest scale are neither the first nor the last."""
    growth = np.roll(np.geomspace(0.5, 2.0, 24), 5).astype(np.float32)
    weights = {
        "u": normal(24, 3, 1, 1) * growth.reshape(-1, 1, 1, 1),
        "v": normal(24, 1, 3, 3, seed=1) * growth.reshape(-1, 1, 1, 1),
        "b": normal(24, seed=2),
        "w": normal(8, 24, 1, 1, seed=3),
    }
    return quantize_graph(folder, TEXT, weights, [{"x": normal(1, 3, 8, 8, seed=seed)} for seed in range(4)], config=config)


@pytest.mark.parametrize("per_tensor", [False, True])
def test_the_numbers_of_added_channels_are_those_of_their_scales(tmp_path: Path, per_tensor: bool) -> None:
    result = widened(tmp_path, QuantConfig(per_tensor=per_tensor))
    rows = {row["node"]: row for row in rows_of(result.quantized.lowering.program)}
    layers = {node.name: node for node in result.quantized.model.graph if node.op_type == "QLinearConv"}
    channels = {name: node.inputs[3].shape[:2] for name, node in layers.items() if node.inputs[3].shape is not None}  # type: ignore[union-attr]
    assert channels == {"before": (32, 4), "depthwise": (32, 1), "behind": (8, 32)}
    for name, node in layers.items():
        (multiplier,) = multipliers_of(node)
        assert np.array_equal(rows[name]["m0"], multiplier.m0) and np.array_equal(rows[name]["n"], multiplier.n)


def test_added_channels_have_the_smallest_scale_of_their_layer(tmp_path: Path) -> None:
    """It is proved with it: a greater one might lie beyond what an int32 accumulator was planned for."""
    for node in widened(tmp_path).quantized.model.graph:
        if node.name in ("before", "depthwise"):
            scale = node.inputs[4].const_value.numpy()  # type: ignore[union-attr]
            assert set(scale[24:].tolist()) == {scale[:24].min()}


def test_results_stay_what_they_are(tmp_path: Path) -> None:
    result = widened(tmp_path)
    result.assert_exact()
    assert result.sqnr_db() > 30  # 8 bits of three layers of normal values leave 35 to 40 dB
