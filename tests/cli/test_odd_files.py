"""Pipes, numbers of many digits, deep nesting, closed and full outputs: a sentence each, and nobody waits."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from onnx import helper

from qconv.cli.console import printable
from qconv.cli.main import run
from tests.networks import network

MANY_DIGITS = "9" * 20


@pytest.mark.parametrize(
    "arguments",
    [
        ("calibrate", "pipe"),
        ("inspect", "pipe"),
        ("calibrate", "m.onnx", "--data", "pipe.npz"),
        ("calibrate", "m.onnx", "--config", "pipe"),
        ("quantize", "m.onnx", "--calibration", "pipe"),
        ("quantize", "m.onnx", "--plan", "pipe"),
        ("quantize", "m.onnx", "--encodings", "pipe"),
        ("quantize", "m.onnx", "--like", "pipe"),
        ("verify", "m.onnx", "m.onnx", "--data", "d.npz", "--labels", "pipe"),
        ("report", "pipe", "pipe"),
    ],
    ids=lambda arguments: "-".join(arguments[:1] + arguments[-2:]),
)
def test_pipes_are_refused_at_once(folder: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    os.mkfifo(folder / "pipe")
    os.mkfifo(folder / "pipe.npz")
    assert run(list(arguments)) in (2, 3, 4, 5)
    assert "pipe" in capsys.readouterr().err.strip().splitlines()[-1]


def test_numbers_of_many_digits(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for option in ("--threads", "--samples"):
        assert run(["calibrate", "m.onnx", "--data", "d.npz", option, MANY_DIGITS]) == 2
        assert MANY_DIGITS in capsys.readouterr().err
    (folder / "labels.csv").write_text(f"file,class\n0,{'9' * 4400}\n")
    assert run(["verify", "m.onnx", "m.onnx", "--data", "d.npz", "--labels", "labels.csv"]) == 4
    said = capsys.readouterr().err
    assert "row 2 of labels.csv" in said and len(said) < 300


@pytest.mark.parametrize("text", ["[" * 100_000, '{"format":' * 100_000, f'{{"format": {"9" * 5000}}}'], ids=len)
def test_deeply_nested_files(folder: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    (folder / "deep.json").write_text(text)
    for arguments in (
        ["report", "deep.json"],
        *(["quantize", "m.onnx", f"--{f}", "deep.json"] for f in ("calibration", "encodings")),
    ):
        assert run(arguments) in (2, 5)
        assert "deep.json" in capsys.readouterr().err


def test_an_output_that_is_full_or_closed(folder: Path) -> None:
    command = [sys.executable, "-m", "qconv", "--version"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (7, "qconv: reading or writing failed: No space left on device\n")
    done = subprocess.run(["sh", "-c", '"$@" >&-', "sh", *command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (7, "qconv: standard output is closed; let it go to a file or to /dev/null\n")


def test_names_cannot_command_a_terminal() -> None:
    from qconv.cli import console

    written = io.StringIO()
    screen = console._Console(file=written, highlight=False, markup=False)
    screen.print("no\x1b[31mde\x1b]0;title\x07")
    assert written.getvalue() == "no?[31mde?]0;title\n" and printable("no\x1b[31mde\x1b]0;title\x07\n") == "no?[31mde?]0;title?\n"


def test_names_with_brackets_are_no_markup(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "[bold]m.onnx"
    nodes = [helper.make_node("Conv", ["x", "w"], ["[/a]"], "conv"), helper.make_node("Erf", ["[/a]"], ["[red]y[/]"], "[b]erf")]
    ir.save(network(nodes, {"x": ["n", 3, 4, 4]}, ["[red]y[/]"], {"w": np.ones((2, 3, 1, 1), np.float32)}), model)
    np.savez(tmp_path / "d.npz", x=np.random.default_rng(0).normal(size=(30, 3, 4, 4)).astype(np.float32))
    samples = ["--data", str(tmp_path / "d.npz")]
    for command, said in (
        (["calibrate", str(model), *samples], "[bold]m.calib.json"),
        (["inspect", str(model.with_name("[bold]m.calib.json"))], "[/a]"),
        (["quantize", str(model), "--exclude", "Erf"], "[b]erf"),
        (["inspect", str(model.with_name("[bold]m.int8.onnx"))], "[b]erf"),
        (["verify", str(model), *samples], "[red]y[/]"),
        (["analyze", str(model), *samples], "[b]erf"),
    ):
        assert run(command) == 0
        assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': '<f4', 'shape': (" + b"(" * 5000,
        b"{'descr': '<f4', 'fortran_order': False, 'shape': " + b"-" * 9000 + b"3}",
        b"{'descr': '<f4\x00', 'fortran_order': False, 'shape': (3L,), }",
        b"\xff\xfe",
        b"__import__('os').system('echo')",
        b"{'descr': ['a', 'b'], 'fortran_order': 3, 'shape': None}",
    ],
    ids=range(6),
)
def test_damaged_headers_of_arrays(folder: Path, capsys: pytest.CaptureFixture[str], header: bytes) -> None:
    (folder / "bad.npy").write_bytes(b"\x93NUMPY\x01\x00" + (len(header) + 1).to_bytes(2, "little") + header + b"\n" + bytes(64))
    assert run(["calibrate", "m.onnx", "--data", "bad.npy"]) == 4
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "bad.npy" in line and "0x" not in line


def test_a_folder_that_cannot_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "samples" / "inner").mkdir(parents=True)
    np.savez(folder / "samples" / "a.npz", image=np.zeros((1, 1, 16, 16), np.float32))
    real = os.scandir

    def scandir(
        path: str | Path | int,
    ) -> object:  # a number is an open folder, as of one that a killed run left and that is removed
        if not isinstance(path, int) and Path(path).name == "inner":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert run(["calibrate", "m.onnx", "--data", "samples"]) == 4
    assert "samples/inner cannot be read (Permission denied)" in capsys.readouterr().err
