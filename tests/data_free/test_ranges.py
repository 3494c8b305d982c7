from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from qconv import pipeline
from qconv.config import QuantConfig
from qconv.data_free.batchnorm_ranges import K
from qconv.data_free.ranges import OUTCOMES, WIDER, data_free_ranges
from qconv.ranges.choices import range_of
from qconv.statistics.calibration import Calibration
from tests.networks import network


def test_ranges_are_widened_and_united_with_what_batch_norms_tell() -> None:
    constants = {name: np.ones(2, np.float32) for name in ("g", "b", "m", "v")}
    nodes = [helper.make_node("BatchNormalization", ["x", "g", "b", "m", "v"], ["n"]), helper.make_node("Relu", ["n"], ["y"])]
    graph = network(nodes, {"x": [1, 2, 4, 4]}, ["y"], constants).graph
    extremes = {"x": (-1.0, 1.0), "n": (2.0, 3.0), "y": (0.0, 20.0), "other": (-2.0, -1.0)}
    found = data_free_ranges(extremes, graph, exact={"x": (-2.0, 2.0)}, outcomes={"other"})
    assert found == {"x": (-2.0, 2.0), "n": (1 - K, 1 + K), "y": (0.0, 20 * WIDER), "other": (-2 * OUTCOMES, 0.0)}


def test_a_clamp_cuts_what_was_widened() -> None:
    constants = {"low": np.array(-1, np.float32), "high": np.array(6, np.float32)}
    graph = network([helper.make_node("Clip", ["x", "low", "high"], ["y"])], {"x": [1, 2]}, ["y"], constants).graph
    assert data_free_ranges({"y": (-0.9, 5.9)}, graph, outcomes={"y"})["y"] == (-1.0, 6.0)


def test_calibration_without_data_stores_its_ranges_and_they_hold_for_every_method(sample_models: Path, tmp_path: Path) -> None:
    found = pipeline.calibrate(sample_models / "digits_resnet.onnx", samples=4)
    assert set(found.derived) == set(found.tensors)
    found.save(tmp_path / "c.json")
    again = Calibration.load(tmp_path / "c.json")
    assert again.derived == found.derived
    scheme = QuantConfig().activation
    for name in found.tensors:
        assert range_of(again, scheme)(name) == range_of(again, scheme, "percentile")(name) == found.derived[name]


def test_real_samples_leave_the_choice_to_the_method(sample_models: Path) -> None:
    found = pipeline.calibrate(sample_models / "digits_resnet.onnx", str(sample_models / "digits_calib.npz"), samples=4)
    assert found.derived == {}


@pytest.mark.parametrize("bad", ["[1]", "[2, 1]", '["a", 1]', "[0, Infinity]", "3"])
def test_damaged_ranges_are_refused(sample_models: Path, bad: str) -> None:
    from qconv.errors import ArtifactError

    text = pipeline.calibrate(sample_models / "digits_mlp.onnx", samples=1).dumps()
    head, _, rest = text.partition('"derived": {')
    name, _, rest = rest.partition(": [")
    with pytest.raises(ArtifactError, match="damaged"):
        Calibration.loads(f'{head}"derived": {{{name}: {bad}{rest.partition("]")[2]}', "c.json")
