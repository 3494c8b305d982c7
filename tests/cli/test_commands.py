"""The newcomer's path, and every option that changes what is written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from qconv.cli.main import run
from qconv.integer.language.audit import audit
from qconv.verify.measure.cost import Cost


def test_three_commands_without_a_flag(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["calibrate", "m.onnx"], ["quantize", "m.onnx", "--bits", "8"], ["verify", "m.onnx"]):
        assert run(command) == 0
    text = capsys.readouterr()
    assert "synthetic" in text.err  # the warning about missing data
    assert sorted(p.name for p in folder.iterdir()) == ["d.npz", "m.calib.json", "m.int8.json", "m.int8.onnx", "m.onnx", "t.npz"]
    assert audit(folder / "m.int8.onnx").integer_only


def test_the_samples_of_calibration_are_used_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["calibrate", "m.onnx", "--data", "d.npz", "--samples", "10"]) == 0
    assert run(["quantize", "m.onnx"]) == 0
    assert run(["verify", "m.onnx", "--json"]) == 0
    out = capsys.readouterr().out
    assert "over 10 samples of d.npz" in out
    report = json.loads(out[out.index('{\n  "format"') :])
    assert report["data"]["samples"] == 10
    assert report["exactness"]["mismatches"] == []
    assert report["optimized"]["integer_only"] is True


@pytest.mark.parametrize(
    "options",
    [["--io", "uint8"], ["--io", "int8"], ["--bits", "4"], ["--weight-bits", "5", "--activation-bits", "7"], ["--per-tensor"]],
    ids=" ".join,
)
def test_options_give_exact_integer_models(folder: Path, capsys: pytest.CaptureFixture[str], options: list[str]) -> None:
    assert run(["quantize", "m.onnx", "--data", "d.npz", "--integer-only", "-o", "q.onnx", *options]) == 0
    capsys.readouterr()
    assert run(["verify", "m.onnx", "q.onnx", "--data", "t.npz", "--min-agreement", "0.95", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["exactness"]["mismatches"] == []
    assert report["written"]["float_nodes"] == []
    assert report["accuracy"]["samples"] == 397


def test_a_plan_is_saved_edited_and_given_back(folder: Path) -> None:
    assert run(["quantize", "m.onnx", "--data", "d.npz", "--save-plan", "plan.json"]) == 0
    unchanged = onnx.load(folder / "m.int8.onnx").graph
    assert run(["quantize", "m.onnx", "--data", "d.npz", "--plan", "plan.json"]) == 0
    assert onnx.load(folder / "m.int8.onnx").graph == unchanged  # its metadata name the plan
    plan = json.loads((folder / "plan.json").read_text())
    name = next(key for key in plan["tensors"] if "block3" in key and plan["tensors"][key]["type"] == "uint8")
    plan["tensors"][name]["scale"] *= 2
    (folder / "plan.json").write_text(json.dumps(plan))
    assert run(["quantize", "m.onnx", "--data", "d.npz", "--plan", "plan.json", "--integer-only"]) == 0
    assert onnx.load(folder / "m.int8.onnx").graph != unchanged
    assert run(["verify", "m.onnx", "--data", "d.npz"]) == 0


def test_excluded_nodes_stay_in_float_and_are_listed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["quantize", "m.onnx", "--data", "d.npz", "--exclude", "block3.*"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in ("block3.depthwise.conv", "block3.pointwise.conv", "excluded by 'block3.*'"))
    assert {node.op_type for node in audit(folder / "m.int8.onnx").float_nodes} >= {"Conv"}


def test_inspect_prints_the_table_and_the_audit(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["quantize", "m.onnx", "--data", "d.npz"]) == 0
    capsys.readouterr()
    assert run(["inspect", "m.int8.onnx"]) == 0
    out = capsys.readouterr().out
    assert "stem.conv" in out
    assert "0 float nodes" in out
    assert "the same codes on x86, x86-vnni, arm" in out
    assert run(["inspect", "m.int8.onnx", "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert (table["target"], table["exact_on"]) == ("x86", "x86, x86-vnni, arm")
    assert table == json.loads((folder / "m.int8.json").read_text())
    conv = next(row for row in table["nodes"] if row["node"] == "stem.conv")
    assert len(conv["m0"]) == len(conv["n"])
    assert all(1 << 30 <= m0 < 1 << 31 for m0 in conv["m0"])


def test_the_result_does_not_depend_on_the_run(folder: Path) -> None:
    written = []
    for _ in range(2):
        assert run(["quantize", "m.onnx", "--data", "d.npz"]) == 0
        written.append((folder / "m.int8.onnx").read_bytes() + (folder / "m.int8.json").read_bytes())
    assert written[0] == written[1]


def test_help_does_not_load_what_it_does_not_need() -> None:
    heavy = ("onnx", "onnxruntime", "numpy", "torch")
    code = f"import sys; from qconv.cli.main import run; run(['--help']); print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")


def test_check_data_prints_what_it_finds_and_writes_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(path.name for path in folder.iterdir())
    assert run(["calibrate", "m.onnx", "--data", "d.npz", "--check-data"]) == 0
    assert "of d.npz" in (good := capsys.readouterr().out) and "checked: no warnings" in good
    with np.load(folder / "d.npz") as stored:
        pictures = next(stored[name] for name in stored.files if name != "labels")
    np.savez(folder / "bad.npz", x=np.concatenate([255 * pictures[:9], 255 * pictures[:1]]))
    assert run(["calibrate", "m.onnx", "--data", "bad.npz", "--check-data"]) == 0
    bad = capsys.readouterr().out
    assert "10 samples are far too few" in bad
    assert "1 of 10 samples repeat earlier ones" in bad
    assert "does not fit the model's first batch norm" in bad and "--preset unit" in bad
    assert "checked: 3 warnings" in bad
    np.savez(folder / "wrong.npz", x=pictures.transpose(0, 2, 3, 1))
    assert run(["calibrate", "m.onnx", "--data", "wrong.npz", "--check-data"]) == 4
    assert "this is NHWC and the model takes NCHW" in capsys.readouterr().err
    assert sorted(path.name for path in folder.iterdir()) == sorted([*before, "bad.npz", "wrong.npz"])


def test_calibrate_warns_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["calibrate", "m.onnx", "--data", "d.npz", "--samples", "3"]) == 0
    assert "warning: 3 samples are far too few" in capsys.readouterr().err
    assert (folder / "m.calib.json").exists()


def test_quantize_warns_of_its_samples_as_calibrate_does(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with np.load(folder / "d.npz") as stored:
        pictures = next(stored[name] for name in stored.files if name != "labels")
    np.savez(folder / "bad.npz", x=np.concatenate([255 * pictures[:9], 255 * pictures[:1]]))
    assert run(["calibrate", "m.onnx", "--data", "bad.npz", "-o", "other.json"]) == 0
    told = capsys.readouterr().err
    assert told.count("warning: ") == 3
    assert run(["quantize", "m.onnx", "--data", "bad.npz", "--target", "x86-vnni"]) == 0
    assert capsys.readouterr().err == told


@pytest.mark.parametrize(("bits", "method", "told"), [("4", "minmax", True), ("4", "mse", False), ("8", "minmax", False)])
def test_few_bits_and_min_max_come_with_a_hint(
    folder: Path, capsys: pytest.CaptureFixture[str], bits: str, method: str, told: bool
) -> None:
    assert run(["calibrate", "m.onnx", "--data", "d.npz", "--samples", "8"]) == 0
    assert run(["quantize", "m.onnx", "--activation-bits", bits, "--method", method]) == 0
    assert ("try --method auto" in capsys.readouterr().err) == told


@pytest.mark.parametrize("ratio", [2.24, None])
def test_quantize_says_that_a_model_is_slower(
    ratio: float | None, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cost = None if ratio is None else Cost(1, 1, 1.0, ratio, 1)
    monkeypatch.setattr("qconv.pipeline.slowdown", lambda *models: cost)
    assert run(["quantize", "m.onnx", "--data", "d.npz", "--effort", "none"]) == 0
    assert ("a run takes about 2.2 of its time" in capsys.readouterr().out) == (ratio is not None)
