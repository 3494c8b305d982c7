"""The Python interface does what the README shows."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

import qconv


def test_three_calls(sample_models: Path, tmp_path: Path) -> None:
    model = sample_models / "digits_resnet.onnx"
    calibration = qconv.calibrate(model, str(sample_models / "digits_calib.npz"))
    quantized = qconv.quantize(model, calibration, config=qconv.QuantConfig(integer_only=True))
    quantized.save(tmp_path / "model.int8.onnx")
    report = qconv.verify(model, tmp_path / "model.int8.onnx", str(sample_models / "digits_test.npz"))
    assert report.exactness.equal
    assert report.optimized.integer_only
    assert report.outputs[0].similarity.sqnr_db > 35.0  # 8 bits give this network 39.8 dB
    assert report.accuracy is not None
    assert report.accuracy.integer_top1 > 0.99


def test_every_network_of_pictures_keeps_its_accuracy(sample_models: Path, tmp_path: Path) -> None:
    """Those of sentences and scenes are in tests/pipeline/test_sample_models.py."""
    others = {"digits_bert.onnx", "digits_yolo.onnx"}
    for model in sorted(path for path in sample_models.glob("*.onnx") if path.name not in others):
        quantized = qconv.quantize(model, qconv.calibrate(model, str(sample_models / "digits_calib.npz")))
        quantized.save(tmp_path / model.name)
        report = qconv.verify(model, tmp_path / model.name, str(sample_models / "digits_test.npz"))
        assert report.written.integer_only
        assert report.accuracy is not None
        assert report.accuracy.drop <= 0.01


def test_a_calibration_may_be_given_by_its_path(sample_models: Path, tmp_path: Path) -> None:
    model = str(sample_models / "digits_mobilenet.onnx")
    calibration = qconv.calibrate(model, str(sample_models / "digits_calib.npz"))
    file = f"{tmp_path}/m.calib.json"
    calibration.save(file)
    assert qconv.Calibration.load(file).dumps() == calibration.dumps()
    config = qconv.QuantConfig(effort="none")
    assert qconv.quantize(model, file, config=config).plan == qconv.quantize(model, calibration, config=config).plan


def test_samples_alone_are_enough(sample_models: Path, tmp_path: Path) -> None:
    model, data = sample_models / "digits_mlp.onnx", str(sample_models / "digits_calib.npz")
    both = [qconv.quantize(model, samples=data), qconv.quantize(model, qconv.calibrate(model, data), samples=data)]
    files = [tmp_path / "samples.onnx", tmp_path / "calibration.onnx"]
    for quantized, path in zip(both, files, strict=True):
        quantized.save(path)
    assert files[0].read_bytes() == files[1].read_bytes()
    with pytest.raises(qconv.UsageError, match="a calibration or from samples"):
        qconv.quantize(model)
    with pytest.raises(qconv.ArtifactError, match=r"digits_calib\.npz holds samples and is no calibration"):
        qconv.quantize(model, data)


def test_errors_are_caught_by_the_names_of_the_package() -> None:
    for load in (qconv.Calibration.load, qconv.QuantPlan.load):
        with pytest.raises(qconv.ArtifactError):
            load("absent.json")


def test_one_exclusion_may_be_a_string() -> None:
    assert qconv.QuantConfig(exclude="Softmax") == qconv.QuantConfig(exclude=["Softmax"])
    assert qconv.QuantConfig(exclude=["a*", "b"]).exclude == ("a*", "b")


def test_saving_overwrites_no_float_model(sample_models: Path, tmp_path: Path) -> None:
    model = tmp_path / "m.onnx"
    model.write_bytes((sample_models / "digits_mlp.onnx").read_bytes())
    quantized = qconv.quantize(model, qconv.calibrate(model), config=qconv.QuantConfig(effort="none"))
    with pytest.raises(qconv.OutputError, match="holds a model that qconv did not make"):
        quantized.save(model)
    assert model.read_bytes() == (sample_models / "digits_mlp.onnx").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_labels_of_samples_from_python_are_beside_them(sample_models: Path, tmp_path: Path) -> None:
    model, samples = sample_models / "digits_mlp.onnx", np.load(sample_models / "digits_test.npz")
    quantized = qconv.quantize(model, qconv.calibrate(model, samples["image"][:8]), config=qconv.QuantConfig(effort="none"))
    quantized.save(tmp_path / "m.int8.onnx")
    given = {"image": samples["image"][:20], "labels": samples["labels"][:20]}
    report = qconv.verify(model, tmp_path / "m.int8.onnx", given)
    assert report.accuracy is not None and report.accuracy.float_top1 > 0.9
    assert "1 outputs, the worst at" in repr(report) and "\n" not in repr(report)
    for labels in ([1] * 20, tmp_path / "labels.csv"):
        with pytest.raises(qconv.UsageError, match="in an array 'labels'"):
            qconv.verify(model, tmp_path / "m.int8.onnx", samples["image"][:20], labels=labels)


@pytest.mark.parametrize("function", [qconv.calibrate, qconv.quantize, qconv.verify, qconv.analyze])
def test_an_argument_of_a_wrong_type_is_told_of_by_its_name(function: Callable[..., object]) -> None:
    parameters = list(inspect.signature(function).parameters)
    good = {name: object.__new__(qconv.Calibration) if name == "calibration" else "m.onnx" for name in parameters[:2]}
    for name in parameters:
        with pytest.raises(qconv.QconvError, match=f"^{name} of {function.__name__} is of type complex; give "):
            function(**{**good, name: 1j})


def test_numbers_of_numpy_are_numbers(sample_models: Path) -> None:
    data = {"image": np.load(sample_models / "digits_calib.npz")["image"]}
    found = qconv.calibrate(sample_models / "digits_mlp.onnx", data, samples=cast(int, np.int64(20)), exact=True)
    assert found.samples == 20


@pytest.mark.parametrize("samples", [0, -1, 10**30])
def test_no_number_of_samples_is_refused(sample_models: Path, samples: int) -> None:
    with pytest.raises(qconv.UsageError, match="1 or more"):
        qconv.calibrate(sample_models / "digits_mlp.onnx", str(sample_models / "digits_calib.npz"), samples=samples)


def test_a_function_that_gives_no_samples_is_told_of(sample_models: Path) -> None:
    with pytest.raises(qconv.DataError, match="gives int, and has to give an iterable"):
        qconv.calibrate(sample_models / "digits_mlp.onnx", cast(Any, lambda: 1))


@pytest.mark.parametrize("kind", [qconv.QuantConfig, qconv.Rule])
def test_a_setting_of_a_wrong_type_is_told_of_by_its_name(kind: type[qconv.QuantConfig | qconv.Rule]) -> None:
    for field in dataclasses.fields(kind):
        with pytest.raises(qconv.UsageError, match=rf"^{field.name} of {kind.__name__} is of type complex; give "):
            kind(**{"match": "*", field.name: 1j} if kind is qconv.Rule else {field.name: 1j})
    with pytest.raises(qconv.UsageError, match=r"^an item of exclude of QuantConfig is of type int; give str"):
        qconv.QuantConfig(exclude=cast(Any, [5]))
    for load in (qconv.Calibration.load, qconv.load_config, qconv.QuantPlan.load):
        with pytest.raises(qconv.UsageError, match=r"^path of load.* is of type complex; give str or Path"):
            load(cast(Any, 1j))
