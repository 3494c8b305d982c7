from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from qconv.errors import OutputError
from qconv.model.scratch import scratch_folder


def test_folders_of_killed_runs_are_removed_by_the_next(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    machine = re.sub(r"\W", "", platform.node())
    owners = (ended.pid, machine), (os.getpid(), machine), (ended.pid, "elsewhere")
    dead, alive, foreign = (tmp_path / f".qconv-{process}-{where}-x" for process, where in owners)
    for path in (dead, alive, foreign):
        path.mkdir()
        (path / "draft.onnx").write_bytes(b"half")
    with scratch_folder(tmp_path) as folder:
        assert folder.is_dir()
    assert sorted(tmp_path.iterdir()) == sorted([alive, foreign])


def test_no_room_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill() -> None:
        with scratch_folder():
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(OutputError, match=f"temporary files cannot be written in {tmp_path}: No space left on device"):
        fill()
    assert not list(tmp_path.iterdir())
