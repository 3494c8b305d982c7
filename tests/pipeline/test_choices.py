from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from onnx import helper

from qconv import pipeline
from qconv.config import QuantConfig
from qconv.data.source import SampleSource
from qconv.errors import DataError
from qconv.pipeline.choices import choose, spread
from qconv.ranges.choices import choice_of
from tests.networks import Listed, network

RNG = np.random.default_rng(0)


def rows(count: int, outlier: float) -> list[np.ndarray]:
    """Of which one element in a thousand is far out."""
    arrays = [RNG.standard_normal((1, 1000)).astype(np.float32) for _ in range(count)]
    for array in arrays:
        array[0, 7] = outlier
    return arrays


def saved(folder: Path, weight_of_outlier: float) -> Path:
    """y = x W, with a weight of its own for the element that is far out."""
    weight = RNG.standard_normal((1000, 10)).astype(np.float32)
    weight[7] = weight_of_outlier
    ir.save(network([helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": [1, 1000]}, ["y"], {"w": weight}), folder / "m.onnx")
    return folder / "m.onnx"


@pytest.mark.parametrize(("weight", "clips"), [(0.0, True), (1.0, False)])
def test_auto_measures_whether_what_is_far_out_matters(weight: float, clips: bool, tmp_path: Path) -> None:
    """The same histogram, and the other choice."""
    path, samples = saved(tmp_path, weight), Listed(rows(20, 60.0))
    calibration = pipeline.calibrate(path, samples, method="auto", threads=1)
    result = pipeline.quantize(path, calibration, config=QuantConfig(activation_bits=4), samples=samples, threads=1)
    assert (result.choices["x"].range[1] < 30) == clips
    assert result.measured == 20
    assert result.choices["y"].method == "minmax"  # what a user reads
    if clips:
        origin = json.loads(result.model.metadata_props["qconv.calibration"])
        assert origin["chosen"] == result.methods == {result.choices["x"].method: ["x"], "minmax": ["y"]}


def test_without_samples_auto_guesses(tmp_path: Path) -> None:
    path = saved(tmp_path, 1.0)
    calibration = pipeline.calibrate(path, Listed(rows(20, 60.0)), threads=1)
    config = QuantConfig(activation_bits=4, method="auto")
    guess = pipeline.quantize(path, calibration, config=config).choices
    assert guess["x"] == choice_of(calibration, config.activation, "auto")("x")


def test_other_methods_do_not_ask_for_samples(tmp_path: Path) -> None:
    path = saved(tmp_path, 1.0)
    calibration = pipeline.calibrate(path, Listed(rows(20, 60.0)), threads=1)

    class Untouched:
        description, warning = "untouched", None

        def __iter__(self) -> object:
            raise AssertionError

    source: SampleSource = Untouched()  # type: ignore[assignment]
    loaded = pipeline.load_prepared(path)
    assert {c.method for c in choose(loaded, calibration, QuantConfig(method="mse"), source).by_tensor.values()} == {"mse"}


@pytest.mark.parametrize(
    ("count", "size", "expected"), [(10, 4, range(10)), (640, 4, range(0, 640, 10)), (12, 1 << 20, [0, 3, 6, 9]), (0, 4, [])]
)
def test_samples_are_spread_and_fewer_where_they_are_large(count: int, size: int, expected: list[int]) -> None:
    """By the arrays themselves: the shape that the model declares may be free."""
    taken = spread(Listed([np.full((1, size), index, np.float32) for index in range(count)]))
    assert [int(sample.feeds["x"][0, 0]) for sample in taken] == list(expected)


def test_a_sample_that_the_model_cannot_take_is_named(tmp_path: Path) -> None:
    path = saved(tmp_path, 1.0)
    calibration = pipeline.calibrate(path, Listed(rows(4, 60.0)), threads=1)
    with pytest.raises(DataError, match="cannot run on sample"):
        choose(pipeline.load_prepared(path), calibration, QuantConfig(method="auto"), Listed([np.zeros((1, 7), np.float32)]))


def test_the_samples_of_the_calibration_are_opened_again_while_they_are_there(tmp_path: Path) -> None:
    path, data = saved(tmp_path, 0.0), tmp_path / "d.npz"
    np.savez(data, x=np.concatenate(rows(6, 60.0)))
    calibration = pipeline.calibrate(path, str(data), method="auto", threads=1)
    assert pipeline.quantize(path, calibration, config=QuantConfig(activation_bits=4)).measured == 6
    data.unlink()
    assert pipeline.quantize(path, calibration, config=QuantConfig(activation_bits=4)).measured == 0
