"""Groups that are merged for the sake of speed: the same codes, fewer groups, and none where that does not pay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qconv.config import QuantConfig
from tests.lower.harness import Result, normal, quantize_graph

# channels in and out, groups, and the groups that are left
LAYERS = {
    "4 channels a group": (64, 64, 16, 2),
    "one channel in, two out": (32, 64, 32, 1),
    "large groups": (128, 128, 2, 2),
    "odd groups": (27, 27, 9, 9),
    "depthwise": (16, 16, 16, 16),
}


def quantized(folder: Path, name: str, config: QuantConfig = QuantConfig()) -> Result:
    inputs, outputs, groups, _ = LAYERS[name]
    text = (
        f"g (float[1,{inputs},6,6] x) => (float[1,{outputs},6,6] y) {{ y = Conv <group = {groups}, pads = [1,1,1,1]> (x, w, b) }}"
    )
    weights = {"w": normal(outputs, inputs // groups, 3, 3), "b": normal(outputs, seed=1)}
    return quantize_graph(folder, text, weights, [{"x": normal(1, inputs, 6, 6, seed=seed)} for seed in range(4)], config=config)


@pytest.mark.parametrize("name", LAYERS)
def test_merged_groups_give_the_same_codes(tmp_path: Path, name: str) -> None:
    folders = [tmp_path / "tuned", tmp_path / "plain"]
    for folder in folders:
        folder.mkdir()
    tuned, plain = (quantized(folder, name, QuantConfig(no_tune=k == 1)) for k, folder in enumerate(folders))
    tuned.assert_exact()
    assert np.array_equal(tuned.values()["y"], plain.values()["y"])
    assert [_groups(result) for result in (tuned, plain)] == [LAYERS[name][3], LAYERS[name][2]]


def _groups(result: Result) -> int:
    (layer,) = (node for node in result.quantized.model.graph if node.op_type == "QLinearConv")
    return layer.attributes["group"].as_int()
