"""Several workers give the file of one run, also when one of them is killed."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from qconv.cli.main import run
from qconv.statistics import checkpoint as resume
from tests.engines.deadly import DEADLY_SOURCE, arguments, kill_one_of


@pytest.fixture
def folder(folder: Path) -> Path:
    """Also with a source of samples of its own."""
    (folder / "deadly.py").write_text(DEADLY_SOURCE)
    return folder


def test_workers_give_the_file_of_one_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["calibrate", "m.onnx", "--data", "d.npz", "--samples", "50", "-o", "one.json"]) == 0
    assert run(["calibrate", "m.onnx", "--data", "d.npz", "--samples", "50", "--workers", "3"]) == 0
    assert capsys.readouterr().err == ""
    assert (folder / "m.calib.json").read_bytes() == (folder / "one.json").read_bytes()
    assert not list(folder.glob("*.partial*"))


def test_the_progress_of_workers_is_used_again(folder: Path) -> None:
    command = ["calibrate", "m.onnx", "--data", "d.npz", "--workers", "2"]
    (folder / "m.calib.json.partial.2of2").write_text("damaged")
    assert run([*command, "--resume"]) == 5
    assert run(command) == 0
    assert not list(folder.glob("*.partial*"))


def test_a_worker_that_is_killed_is_replaced(folder: Path) -> None:
    assert run(arguments([], "one.json")) == 0
    last_words = kill_one_of(folder, ["--workers", "2"], workers=2, wait=resume.SECONDS + 0.3)
    assert re.search(r"all\.json\.partial\.[12]of2", last_words)  # so the next process went on from there
    assert (folder / "all.json").read_bytes() == (folder / "one.json").read_bytes()


def test_workers_give_the_moments_of_one_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["calibrate", "m.onnx", "--data", "d.npz", "--samples", "20", "--moments"]
    assert run([*command, "-o", "one.json"]) == 0
    assert run([*command, "--workers", "2"]) == 0
    assert run([*command, "--workers", "2"]) == 0  # over what is there
    assert "second moments of what 12 layers read" in capsys.readouterr().out
    assert (folder / "m.calib.json").read_bytes() == (folder / "one.json").read_bytes()
    assert (folder / "m.moments.npz").read_bytes() == (folder / "one.moments.npz").read_bytes()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--moments", "--resume"], "--moments keeps no progress"),
        (["--shard", "1/2", "--workers", "2"], "--shard is one part"),
        (["--address", "auto"], "add --engine ray"),
        (["--engine", "ray", "--resume"], "--resume serves --engine local"),
        (["--workers", "2", "--method", "ema"], "order of the samples"),
    ],
)
def test_options_that_do_not_go_together(
    folder: Path, capfd: pytest.CaptureFixture[str], options: list[str], sentence: str
) -> None:
    assert run(["calibrate", "m.onnx", "--data", "d.npz", *options]) == 2
    assert sentence in capfd.readouterr().err


@pytest.mark.parametrize("options", [["--workers", "2"], ["--engine", "ray"], ["--shard", "1/2"]])
def test_made_up_samples_are_not_shared_out(folder: Path, capfd: pytest.CaptureFixture[str], options: list[str]) -> None:
    assert run(["calibrate", "m.onnx", *options]) == 2
    assert "only real samples are worth sharding" in capfd.readouterr().err
    assert run(["calibrate", "m.onnx", "--workers", "1", "--samples", "2"]) == 0


def test_a_mistake_of_a_worker_is_one_sentence(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with np.load(folder / "d.npz") as stored:
        pictures = next(stored[name] for name in stored.files if name != "labels")
    pictures[30] = np.nan
    np.savez(folder / "broken.npz", x=pictures)
    assert run(["calibrate", "m.onnx", "--data", "broken.npz", "--workers", "2"]) == 4
    error = capfd.readouterr().err
    assert "NaN" in error and "Traceback" not in error
