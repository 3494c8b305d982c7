"""Every situation of docs/situations.md ends in a good model, in a warning, or in a sentence, by the usual commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.situation_list import SITUATIONS
from benchmarks.situations import commands, worst_db, write
from qconv.cli.main import run

_LEAST_DB = 18.0  # of what varies; warnings begin at 20 dB of all of it
_REFUSED = {"token that the model has not": 4}  # the exit codes of refusals


@pytest.mark.parametrize("name", SITUATIONS)
def test_nothing_goes_wrong_in_silence(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    situation = SITUATIONS[name]
    write(situation, tmp_path)
    monkeypatch.chdir(tmp_path)
    for command in commands(situation):
        code = run(list(command))
        if name in _REFUSED:
            break
        assert code == 0
    said = capsys.readouterr().err
    if name in _REFUSED:
        assert code == _REFUSED[name] and said.count("\n") == 1
        return
    assert "warning" in said or worst_db(tmp_path, situation.axis) >= _LEAST_DB
