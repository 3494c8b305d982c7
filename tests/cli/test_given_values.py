"""What a person may write by mistake, in one sentence each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qconv import pipeline
from qconv.cli.main import run
from qconv.errors import OutputError
from tests.lower.harness import normal, write_model

TEXT = "g (float[n,3,8,8] x) => (float[n,4,8,8] y) { y = Conv(x, w) }"


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = write_model(tmp_path / "m.onnx", TEXT, {"w": normal(4, 3, 1, 1)})
    np.savez(tmp_path / "d.npz", x=normal(40, 3, 8, 8))
    monkeypatch.chdir(tmp_path)
    return path


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ("calibrate .", 3, ". is not a file: give the path of an .onnx file"),
        ("verify .", 3, ". is not a file: give the path of an .onnx file"),
        ("quantize ..", 3, ".. is not a file: give the path of an .onnx file"),
        ("calibrate m.onnx --data d.npz --workers 9999", 2, "--workers 9999 would start 40 processes"),
        ("calibrate m.onnx --data d.npz --exclude nope", 2, "the exclusion 'nope' matches no node name and no op type"),
        ("quantize m.onnx --data d.npz --io uint8 --mean nan", 2, "--scale, --mean and --std take finite numbers"),
        ("quantize m.onnx --data d.npz --io uint8 --scale 0", 2, "--scale another one than 0"),
        ("quantize m.onnx --data d.npz --io uint8 --std inf", 2, "--scale, --mean and --std take finite numbers"),
    ],
)
def test_a_mistake_is_one_sentence(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: str, code: int, sentence: str
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert run(arguments.split()) == code
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


def test_data_of_blanks_is_no_path(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["calibrate", "m.onnx", "--data", " "]) == 2
    assert "it is empty; give an .npz" in capsys.readouterr().err


@pytest.mark.parametrize("path", ["", "."])
def test_saving_wants_a_name(model: Path, path: str) -> None:
    quantized = pipeline.quantize(model, pipeline.calibrate(model, "d.npz"))
    with pytest.raises(OutputError, match="has no name: give the name of a file"):
        quantized.save(path)


def test_hints_tell_of_outputs_that_gain(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "g (float[n,3,8,8] x) => (bool[n,4,8,8] y, float[n,4,8,8] c) { c = Conv(x, w) y = Greater(c, far) }"
    write_model(model, text, {"w": normal(4, 3, 1, 1), "far": np.asarray(1000, np.float32)})
    assert run(["quantize", "m.onnx", "--data", "d.npz"]) == 0
    assert "instead of inf" not in capsys.readouterr().err


def test_what_is_not_saved_yet_is_verified_too(model: Path) -> None:
    quantized = pipeline.quantize(model, pipeline.calibrate(model, "d.npz"))
    report = pipeline.verify(model, quantized, "d.npz")
    quantized.save("m.int8.onnx")
    saved = pipeline.verify(model, "m.int8.onnx", "d.npz")
    assert report.outputs == saved.outputs
    assert report.verdict.passed
    assert not Path(report.integer_model).exists()


def test_a_clamp_is_excluded_without_another_calibration(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "g (float[n,3,8,8] x) => (float[n,4,8,8] y) { a = Clip(x, low, high) y = Conv(a, w) }"
    bounds = {"low": np.asarray(-1, np.float32), "high": np.asarray(1.5, np.float32)}
    write_model(model, text, {"w": normal(4, 3, 1, 1), **bounds})
    assert run(["calibrate", "m.onnx", "--data", "d.npz"]) == 0
    assert run(["quantize", "m.onnx", "--exclude", "clip0"]) == 0
    assert "float: clip0" in capsys.readouterr().out
