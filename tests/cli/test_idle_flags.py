"""Options without effect are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from qconv.cli.main import run


@pytest.mark.parametrize(
    "arguments",
    [
        ["--plan", "p.json", "--bits", "8"],
        ["--plan", "p.json", "--weight-bits", "4"],
        ["--plan", "p.json", "--activation-bits", "4"],
        ["--plan", "p.json", "--method", "mse"],
        ["--plan", "p.json", "--per-tensor"],
        ["--plan", "p.json", "--exclude", "Softmax"],
        ["--plan", "p.json", "--percentile", "99"],
        ["--plan", "p.json", "--prefer", "speed"],
        ["--percentile", "99", "--method", "mse"],
        ["--percentile", "99"],
    ],
)
def test_an_option_without_effect_is_named(folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert run(["quantize", "m.onnx", *arguments]) == 2
    message = capsys.readouterr().err
    assert "no effect" in message
    assert arguments[-1] in message or arguments[-2] in message
    assert sorted(path.name for path in folder.iterdir()) == ["d.npz", "m.onnx", "t.npz"]
