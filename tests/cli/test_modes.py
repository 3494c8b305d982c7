"""`qconv quantize --mode`: what it writes and says, and which options do not go with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qconv.cli.main import run


@pytest.fixture
def mlp(folder: Path, sample_models: Path) -> Path:
    """A folder with a network of matrices, m.onnx."""
    (folder / "m.onnx").write_bytes((sample_models / "digits_mlp.onnx").read_bytes())
    return folder


@pytest.mark.parametrize(
    ("mode", "arguments"),
    [
        ("weight-only", ["--activation-bits", "4"]),
        ("weight-only", ["--method", "mse"]),
        ("weight-only", ["--per-tensor"]),
        ("weight-only", ["--target", "arm"]),
        ("dynamic", ["--io", "int8"]),
        ("dynamic", ["--save-plan", "p.json"]),
        ("dynamic", ["--levels", "powers"]),
        ("weight-only", ["--no-tune"]),
        ("dynamic", ["--max-drop", "1"]),
        ("dynamic", ["--group", "16"]),
        ("static", ["--group", "16"]),
    ],
)
def test_options_without_effect_in_a_mode(mlp: Path, capsys: pytest.CaptureFixture[str], mode: str, arguments: list[str]) -> None:
    assert run(["quantize", "m.onnx", "--mode", mode, *arguments]) == 2
    assert f"{arguments[0]}: no effect in mode {mode}" in capsys.readouterr().err
    assert not (mlp / "m.int8.onnx").exists()


def test_dynamic_needs_no_samples(mlp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["quantize", "m.onnx", "--mode", "dynamic"]) == 0
    told = capsys.readouterr()
    assert "mode dynamic, 3 layers with weights in codes" in told.out
    assert "were not compared" in told.out and "warning" not in told.err
    assert not list(mlp.glob("*.calib.json"))
    assert run(["inspect", "m.int8.onnx"]) == 0
    assert "3 MatMulInteger with weights in int8" in capsys.readouterr().out
    assert run(["verify", "m.onnx", "--data", "t.npz", "--samples", "20"]) == 0
    assert "equals exact integer arithmetic" in capsys.readouterr().out


def test_weight_only_with_samples_and_again(mlp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["quantize", "m.onnx", "--data", "d.npz", "--mode", "weight-only", "--bits", "4"]
    assert run([*asked, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["fitted"] == {"layers": 3, "samples": 100} and told["settings"]["mode"] == "weight-only"
    assert told["bytes"]["integer"] < 0.3 * told["bytes"]["float"]
    again = ["quantize", "m.onnx", "--data", "d.npz", "--like", "m.int4.onnx", "-o", "again.onnx"]
    assert run(again) == 0
    assert (mlp / "again.onnx").read_bytes() == (mlp / "m.int4.onnx").read_bytes()
    assert run(["inspect", "m.int4.onnx"]) == 0
    assert "3 MatMulNBits with weights of 4 bits, a scale for each 32" in capsys.readouterr().out


@pytest.mark.parametrize("mode", ["dynamic", "weight-only"])
def test_integer_only_is_refused(mlp: Path, capsys: pytest.CaptureFixture[str], mode: str) -> None:
    assert run(["quantize", "m.onnx", "--mode", mode, "--integer-only"]) == 6
    assert "in float are" in capsys.readouterr().err


def test_weight_only_fits_to_moments_where_the_samples_are_gone(mlp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["calibrate", "m.onnx", "--data", "d.npz", "--samples", "40", "--moments"]) == 0
    assert run(["quantize", "m.onnx", "--mode", "weight-only", "--bits", "4", "-o", "there.onnx"]) == 0
    (mlp / "d.npz").unlink()
    capsys.readouterr()
    assert run(["quantize", "m.onnx", "--mode", "weight-only", "--bits", "4", "-o", "gone.onnx"]) == 0
    told = capsys.readouterr()
    assert "fitted to the second moments of 40 samples" in told.out and "warning" not in told.err
    assert (mlp / "gone.onnx").read_bytes() == (mlp / "there.onnx").read_bytes()
