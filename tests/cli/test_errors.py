"""Bad input gets one sentence and its exit code, and leaves nothing behind."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from qconv.cli.main import run


def refused(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> str:
    """The sentence that a call ends with; asserts its exit code and that it is one line without a traceback."""
    before = sorted(path.name for path in Path().iterdir())
    assert run(list(arguments)) == code
    message = capsys.readouterr().err
    assert "Traceback" not in message
    assert len(message.strip().splitlines()) == 1
    assert sorted(path.name for path in Path().iterdir()) == before
    return message


@pytest.mark.parametrize(
    ("content", "word"),
    [(None, "missing.onnx"), (b"", "empty"), (b"just some text\n", "ONNX"), ("truncated", "ONNX")],
    ids=["missing", "empty", "text", "truncated"],
)
def test_files_that_are_no_model(
    folder: Path, capsys: pytest.CaptureFixture[str], content: bytes | str | None, word: str
) -> None:
    path = folder / ("missing.onnx" if content is None else "bad.onnx")
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        whole = (folder / "m.onnx").read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    for command in ("calibrate", "quantize", "verify", "inspect"):
        assert word in refused(capsys, 3, command, path.name)


def test_an_integer_model_passes_through(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["quantize", "m.onnx", "--data", "d.npz"]) == 0
    assert run(["quantize", "m.int8.onnx", "-o", "again.onnx"]) == 0
    capsys.readouterr()
    assert run(["verify", "m.int8.onnx", "again.onnx", "--data", "d.npz"]) == 0
    printed = capsys.readouterr().out
    assert "exact" in printed and "onnxruntime equals exact integer arithmetic" in printed


def test_a_folder_is_no_model(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "dir.onnx").mkdir()
    assert "dir.onnx" in refused(capsys, 3, "calibrate", "dir.onnx")


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"wrong": np.zeros((2, 1, 16, 16), np.float32), "more": np.zeros(2, np.float32)}, ["image"]),
        ({"image": np.zeros((2, 3, 16, 16), np.float32)}, ["image", "3"]),
        ({"image": np.zeros((2, 1, 16, 16), "U4")}, ["image"]),
        ({"image": np.full((2, 1, 16, 16), np.nan, np.float32)}, ["image", "NaN"]),
        ({"image": np.zeros((0, 1, 16, 16), np.float32)}, ["image"]),
        ({"image": np.asarray([{}], object)}, ["image"]),
    ],
    ids=["key", "shape", "type", "nan", "none", "pickle"],
)
def test_samples_that_do_not_fit(
    folder: Path, capsys: pytest.CaptureFixture[str], arrays: dict[str, np.ndarray], words: list[str]
) -> None:
    np.savez(folder / "bad.npz", **arrays)  # type: ignore[arg-type]
    message = refused(capsys, 4, "calibrate", "m.onnx", "--data", "bad.npz")
    assert all(word in message for word in words)


def test_samples_that_are_not_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "empty").mkdir()
    (folder / "text.npz").write_text("no archive")
    for data in ("empty", "text.npz", "nowhere.npz", "nowhere", "no_such_module:function"):
        assert data in refused(capsys, 4, "calibrate", "m.onnx", "--data", data)


def test_outputs_that_cannot_be_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "taken").mkdir()
    for output in ("nowhere/m.json", "taken"):
        assert output.split("/")[0] in refused(capsys, 7, "calibrate", "m.onnx", "--data", "d.npz", "-o", output)
        assert output.split("/")[0] in refused(capsys, 7, "quantize", "m.onnx", "--data", "d.npz", "-o", output)


def test_artifacts_of_another_model_and_damaged_ones(
    folder: Path, sample_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(sample_models / "digits_resnet.onnx", folder / "other.onnx")
    assert run(["calibrate", "other.onnx", "--data", "d.npz"]) == 0
    capsys.readouterr()
    assert "another model" in refused(capsys, 5, "quantize", "m.onnx", "--calibration", "other.calib.json")
    (folder / "bad.json").write_text("{")
    assert "bad.json" in refused(capsys, 5, "quantize", "m.onnx", "--calibration", "bad.json")
    assert "bad.json" in refused(capsys, 5, "quantize", "m.onnx", "--data", "d.npz", "--plan", "bad.json")
    assert "nowhere.json" in refused(capsys, 5, "quantize", "m.onnx", "--calibration", "nowhere.json")


def test_options_that_do_not_fit(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nothing_like_it" in refused(capsys, 2, "quantize", "m.onnx", "--data", "d.npz", "--exclude", "nothing_like_it")
    assert run(["quantize", "m.onnx", "--bits", "1"]) == 2
    assert run(["calibrate", "m.onnx", "--crop", "a"]) == 2
    assert run(["unknown"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_integer_only_names_node_reason_and_remedy(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(capsys, 6, "quantize", "m.onnx", "--data", "d.npz", "--integer-only", "--exclude", "Gemm")
    assert "excluded by 'Gemm'" in message


def test_verification_that_says_no(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["quantize", "m.onnx", "--data", "d.npz"]) == 0
    assert run(["verify", "m.onnx", "--data", "d.npz", "--min-sqnr", "5"]) == 0
    capsys.readouterr()
    assert run(["verify", "m.onnx", "--data", "d.npz", "--min-sqnr", "90"]) == 1
    assert "90 dB" in capsys.readouterr().out
    assert run(["verify", "m.onnx", "--data", "d.npz", "--max-drop", "0.01"]) == 1
    assert "no sample has a label" in capsys.readouterr().out
