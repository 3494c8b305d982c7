"""What the sentences on standard error hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from qconv.cli.main import run


def test_verify_without_an_integer_model_says_how_to_make_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "m.onnx"]) == 3
    assert "qconv quantize m.onnx" in capsys.readouterr().err


def test_names_cannot_command_the_terminal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", "\x1b[2J.onnx"]) == 3
    message = capsys.readouterr().err
    assert "\x1b" not in message
    assert "?[2J.onnx" in message
