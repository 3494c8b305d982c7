"""The lines of README.md for readers with a microcontroller and with a phone, taken out of it and run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

README = Path(__file__).parent.parent / "README.md"


@pytest.fixture(scope="module")
def picture(sample_models: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A folder with what README speaks of, and the class that the float model gives for the picture."""
    folder = tmp_path_factory.mktemp("readme")
    shutil.copy(sample_models / "digits_mobilenet.onnx", folder / "model.onnx")
    images = np.load(sample_models / "digits_calib.npz")["image"]
    np.savez(folder / "samples.npz", image=images)
    image = np.load(sample_models / "digits_test.npz")["image"][7:8]
    np.savetxt(folder / "picture.txt", image.reshape(1, -1))
    (logits,) = ort.InferenceSession(folder / "model.onnx").run(None, {"image": image})
    return folder, int(np.asarray(logits).argmax())


def blocks(heading: str) -> list[tuple[str, str]]:
    """The blocks of code of a section, with their languages."""
    found = re.search(rf"### {heading}\n(.*?)\n##", README.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return re.findall(r"```(\w+)\n(.*?)```", found[1], re.DOTALL)


def run(heading: str, folder: Path) -> str:
    """What the last of the blocks prints; all are run in the folder, one after the other."""
    (folder / "qconv").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m qconv "$@"\n')
    (folder / "qconv").chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": str(README.parent)}
    printed = ""
    for language, text in blocks(heading):
        if language == "c":
            name = re.match(r"/\* (\S+) \*/", text)
            assert name is not None
            (folder / name[1]).write_text(text)
            continue
        command = ["sh", "-e", "-c", text] if language == "sh" else [sys.executable, "-c", text]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        printed = done.stdout
    return printed


@pytest.mark.skipif(shutil.which("cc") is None or shutil.which("make") is None, reason="no C compiler here")
def test_a_microcontroller(picture: tuple[Path, int]) -> None:
    folder, wanted = picture
    assert run("A microcontroller", folder) == f"{wanted}\n"


def test_a_phone(picture: tuple[Path, int]) -> None:
    pytest.importorskip("ai_edge_litert.interpreter", reason="no LiteRT here")
    pytest.importorskip("tflite", reason="the package tflite is not here")
    folder, wanted = picture
    assert run("A phone", folder) == f"{wanted}\n"
