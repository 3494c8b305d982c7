"""What tests of all commands share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path, sample_models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model and its samples, and the working directory."""
    shutil.copy(sample_models / "digits_mobilenet.onnx", tmp_path / "m.onnx")
    shutil.copy(sample_models / "digits_calib.npz", tmp_path / "d.npz")
    shutil.copy(sample_models / "digits_test.npz", tmp_path / "t.npz")
    monkeypatch.chdir(tmp_path)
    return tmp_path
