"""Calibration in parts: shards and merging, and going on after a kill."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from qconv.cli.main import run

SLOW_SOURCE = """
import os, time
import numpy as np

def samples():
    pictures = next(array for name, array in np.load("d.npz").items() if name != "labels")
    for picture in np.concatenate([pictures, pictures + 1, pictures * 2, pictures - 1]):
        time.sleep(float(os.environ.get("PAUSE", "0")))
        yield picture[None]
"""


@pytest.fixture
def folder(folder: Path) -> Path:
    """Also with a source of samples of its own."""
    (folder / "slow.py").write_text(SLOW_SOURCE)
    return folder


def test_shards_merge_into_the_file_of_one_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["calibrate", "m.onnx", "--data", "d.npz"]) == 0
    for number in (1, 2, 3):
        assert run(["calibrate", "m.onnx", "--data", "d.npz", "--shard", f"{number}/3"]) == 0
    assert capsys.readouterr().err == ""
    assert run(["merge", "m.3of3.calib.json", "m.1of3.calib.json", "-o", "part.json"]) == 0
    assert "covers 2 of 3 shards" in capsys.readouterr().err
    assert run(["quantize", "m.onnx", "--calibration", "part.json", "-o", "q.onnx"]) == 0
    assert "covers 2 of 3 shards" in capsys.readouterr().err
    assert run(["merge", "m.2of3.calib.json", "part.json", "-o", "all.json"]) == 0
    assert capsys.readouterr().err == ""
    assert (folder / "all.json").read_bytes() == (folder / "m.calib.json").read_bytes()


def test_moments_of_shards_serve_where_the_samples_are_gone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in (1, 2, 3):
        assert run(["calibrate", "m.onnx", "--data", "d.npz", "--moments", "--shard", f"{number}/3"]) == 0
    assert run(["merge", "m.3of3.calib.json", "m.1of3.calib.json", "m.2of3.calib.json", "-o", "m.calib.json"]) == 0
    (folder / "d.npz").unlink()
    capsys.readouterr()
    assert run(["quantize", "m.onnx"]) == 0
    assert "second moments of the float network, because the samples are gone" in capsys.readouterr().out
    (folder / "m.2of3.moments.npz").unlink()
    assert run(["merge", "m.2of3.calib.json", "m.1of3.calib.json", "-o", "part.json"]) == 5
    assert "put m.2of3.moments.npz back" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["merge", "m.calib.json", "-o", "all.json"], 5, "is no calibration of shards"),
        (["merge", "absent.json", "-o", "all.json"], 5, "there is no calibration absent.json"),
        (["merge", "m.calib.json", "m.calib.json", "-o", "all.json"], 2, "named twice"),
        (["calibrate", "m.onnx", "--data", "d.npz", "--shard", "4/3"], 2, "not '4/3'"),
        (["calibrate", "m.onnx", "--shard", "1/3"], 2, "--data"),
        (["calibrate", "m.onnx", "--data", "d.npz", "--method", "ema", "--resume"], 2, "order of the samples"),
    ],
)
def test_refusals(folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, sentence: str) -> None:
    assert run(["calibrate", "m.onnx", "--data", "d.npz"]) == 0
    capsys.readouterr()
    assert run(arguments) == code
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") <= 2
    assert not (folder / "all.json").exists()


def test_a_killed_run_resumes_to_the_same_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["calibrate", "m.onnx", "--data", "slow.py:samples"]
    partial = folder / "m.calib.json.partial"
    with subprocess.Popen([sys.executable, "-m", "qconv", *command], env={**os.environ, "PAUSE": "0.02"}) as process:
        deadline = time.monotonic() + 60
        while not partial.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not (folder / "m.calib.json").exists()
    done = json.loads(partial.read_text(encoding="utf-8"))["done"]
    assert 10 < done < 390
    assert run([*command, "--resume"]) == 0
    assert not partial.exists()
    assert run([*command, "-o", "whole.json"]) == 0
    assert (folder / "m.calib.json").read_bytes() == (folder / "whole.json").read_bytes()
    assert json.loads((folder / "whole.json").read_text(encoding="utf-8"))["samples"] == 400


def test_what_cannot_be_merged(folder: Path, sample_models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files as the commands write them; tests/statistics/test_merge.py has all differences."""
    shutil.copy(sample_models / "digits_resnet.onnx", folder / "r.onnx")
    few = ["--data", "d.npz", "--samples", "6"]
    for output, arguments in {
        "one": ["m.onnx", *few, "--shard", "1/3"],
        "two": ["m.onnx", *few, "--shard", "2/3"],
        "resnet": ["r.onnx", *few, "--shard", "2/3"],
        "exact": ["m.onnx", *few, "--shard", "2/3", "--exact"],
        "ema": ["m.onnx", *few, "--method", "ema"],
        "free": ["m.onnx", "--samples", "2"],
    }.items():
        assert run(["calibrate", *arguments, "-o", output]) == 0
    assert run(["merge", "one", "two", "-o", "both"]) == 0
    shutil.copy("one", "copy")
    capsys.readouterr()
    for other, code, sentence in (
        ("free", 5, "free was made without samples"),
        ("ema", 2, "ema holds moving averages"),
        ("resnet", 5, "one and resnet differ in the model"),
        ("exact", 5, "one and exact differ in --exact"),
        ("copy", 5, "one and copy both cover shard 1"),
        ("both", 5, "one and both both cover shard 1"),
    ):
        assert run(["merge", "one", other, "-o", "all"]) == code
        assert (error := capsys.readouterr().err).startswith(f"qconv: {sentence}") and error.count("\n") == 1
    assert not (folder / "all").exists()
