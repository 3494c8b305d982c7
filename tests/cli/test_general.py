"""What every command has: settings from a file, quiet and verbose; and runs that are repeated."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

from qconv.cli.general import settings_of
from qconv.cli.main import cli, run
from qconv.config import QuantConfig, Rule
from qconv.errors import ArtifactError
from qconv.pipeline.made import flags_of, settings_to_json


@pytest.fixture
def model(sample_models: Path, tmp_path: Path) -> Path:
    path = tmp_path / "m.onnx"
    path.write_bytes((sample_models / "digits_mlp.onnx").read_bytes())
    assert run(["calibrate", str(path), "--data", str(sample_models / "digits_calib.npz"), "-q"]) == 0
    return path


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_refuses_a_key_that_there_is_not(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "s.toml").write_text("wieght-bits = 4")
    assert run([name, "m.onnx", "--config", str(tmp_path / "s.toml")]) == 2
    assert "did you mean 'weight-bits'?" in capsys.readouterr().err


def test_every_key_is_read(tmp_path: Path) -> None:
    """A file with every key, each with a value of its kind, is a file of settings."""
    from qconv.config_file import read_settings

    kinds = settings_of(cli)
    examples = {
        "true or false": "true",
        "a list of patterns": '["a"]',
        "a whole number": "8",
        "a number": "0.5",
        "a word": '"minmax"',
    }
    (tmp_path / "s.toml").write_text("\n".join(f"{key} = {examples[kind]}" for key, (kind, _) in kinds.items()))
    assert set(read_settings(tmp_path / "s.toml", kinds).values) == set(kinds)
    assert {"bits", "steps", "to", "min-agreement", "exclude"} <= set(kinds)


def test_one_file_serves_several_commands(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = tmp_path / "s.toml"
    settings.write_text("weight-bits = 4\nmin-sqnr = 90.0\nlayers = 1\n")
    target = tmp_path / "q.onnx"
    assert run(["quantize", str(model), "--config", str(settings), "--min-sqnr", "1", "-o", str(target), "-q"]) == 0
    assert run(["verify", str(model), str(target), "--config", str(settings)]) == 1
    assert "90" in capsys.readouterr().out


def test_quiet_and_verbose(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["quantize", str(model), "-q"]) == 0
    assert capsys.readouterr().out == ""
    assert run(["quantize", str(model), "-v"]) == 0
    found = capsys.readouterr()
    assert "choosing ranges: " in found.err and "integer nodes" in found.out


def test_a_run_repeated_gives_the_same_bytes(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = tmp_path / "a.onnx", tmp_path / "b.onnx"
    (tmp_path / "s.toml").write_text('[[rule]]\nmatch = ["dense1"]\nweight-bits = 5\n')
    flags = ["--bits", "6", "--exclude", "logits", "--effort", "none", "--method", "percentile", "--percentile", "99.9"]
    assert run(["quantize", str(model), *flags, "--config", str(tmp_path / "s.toml"), "-o", str(first)]) == 0
    assert run(["quantize", str(model), "--like", str(first), "-o", str(second)]) == 0
    assert first.read_bytes() == second.read_bytes()
    assert "--like" not in capsys.readouterr().err
    assert run(["quantize", str(model), "--like", str(first), "--weight-bits", "8", "-o", str(second)]) == 0
    assert first.read_bytes() != second.read_bytes()
    made = {p.key: p.value for p in onnx.load(second).metadata_props}
    assert json.loads(made["qconv.settings"])["activation-bits"] == 6


def test_what_differs_from_the_run_that_is_repeated_is_said(
    model: Path, sample_models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = tmp_path / "a.onnx"
    assert run(["quantize", str(model), "-o", str(first), "-q"]) == 0
    other = ["--data", str(sample_models / "digits_test.npz"), "--samples", "9"]
    assert run(["quantize", str(model), "--like", str(first), *other, "-o", str(tmp_path / "b.onnx")]) == 0
    assert "made with another calibration" in capsys.readouterr().err
    mobile = [str(sample_models / "digits_mobilenet.onnx"), "--data", str(sample_models / "digits_calib.npz")]
    assert run(["quantize", *mobile, "--like", str(first), "-o", str(tmp_path / "b.onnx")]) == 0
    assert "made from another float model" in capsys.readouterr().err


def test_a_model_that_does_not_tell(model: Path) -> None:
    assert run(["quantize", str(model), "--like", str(model)]) == 5


def test_settings_there_and_back() -> None:
    config = QuantConfig(4, 6, exclude=["a", "b..c"], percent=99.0, rules=[Rule("x", weight_bits=2), Rule("y", keep_float=True)])
    flags, rules = flags_of(json.loads(json.dumps(settings_to_json(config))))
    assert flags == {"weight-bits": 4, "activation-bits": 6, "exclude": ["a", "b..c"], "percentile": 99.0}
    assert rules == config.rules
    assert settings_to_json(QuantConfig()) == {}
    with pytest.raises(ArtifactError, match="settings are damaged"):
        flags_of({"rule": [{"colour": 1}]})


def test_json_of_a_quantization(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["quantize", str(model), "--exclude", "logits", "--json", "-o", str(tmp_path / "q.onnx")]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["format"] == "qconv-quantized-1"
    assert data["float_nodes"] == [{"node": "logits", "reason": "excluded by 'logits'"}]
    assert data["multipliers"]["proved"] == data["multipliers"]["scales"] > 0
    assert data["outputs"][0]["sqnr_db"] > 20
    assert data["bytes"]["integer"] == (tmp_path / "q.onnx").stat().st_size
