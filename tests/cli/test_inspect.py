"""`qconv inspect` on calibrations, and --plot."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from qconv.cli.main import run
from qconv.config import QuantConfig
from qconv.pipeline import load_prepared
from qconv.plan.make import tensors_to_observe
from qconv.plan.outcomes import outcomes
from qconv.ranges.choices import choice_of
from qconv.statistics.calibration import Calibration


@pytest.fixture
def folder(tmp_path: Path, sample_models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model and its calibration, and the working directory."""
    shutil.copy(sample_models / "digits_mlp.onnx", tmp_path / "m.onnx")
    shutil.copy(sample_models / "digits_calib.npz", tmp_path / "d.npz")
    monkeypatch.chdir(tmp_path)
    assert run(["calibrate", "m.onnx", "--data", "d.npz"]) == 0
    return tmp_path


def test_the_table_has_all_tensors_in_graph_order(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run(["inspect", "m.calib.json"]) == 0
    out = capsys.readouterr().out
    names = tensors_to_observe(load_prepared("m.onnx").ir.graph, QuantConfig())
    places = [out.index(f" {name} ") for name in names]
    assert places == sorted(places)
    assert all(word in out for word in ("samples", "min", "max", "zeros %", "range", "minmax"))
    assert f"{len(names)} tensors over 100 samples of d.npz (100 samples), minmax, 8 bits" in out


def test_json_tells_the_ranges_that_quantize_takes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for method, bits in (("minmax", 8), ("mse", 4), ("auto", 4)):
        capsys.readouterr()
        assert run(["inspect", "m.calib.json", "--json", "--method", method, "--bits", str(bits)]) == 0
        told = json.loads(capsys.readouterr().out)
        calibration = Calibration.load(folder / "m.calib.json")
        keep = outcomes(load_prepared("m.onnx").ir.graph)
        choose = choice_of(calibration, QuantConfig(activation_bits=bits).activation, method, keep=keep)
        assert (told["method"], told["bits"], told["samples"]) == (method, bits, 100)
        assert {row["tensor"] for row in told["tensors"]} == set(calibration.tensors)
        for row in told["tensors"]:
            summary, choice = calibration.tensors[row["tensor"]], choose(row["tensor"])
            assert choice is not None
            assert (row["method"], tuple(row["range"])) == (choice.method, choice.range)
            assert (row["min"], row["max"], row["zeros"]) == (summary.lo, summary.hi, summary.zeros)


def test_both_commands_draw_the_same_pictures(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", "m.calib.json", "--plot", "a"]) == 0
    assert run(["calibrate", "m.onnx", "--data", "d.npz", "--plot", "b"]) == 0
    assert "b: pictures of" in capsys.readouterr().out
    drawn = [{path.name: path.read_bytes() for path in (folder / name).iterdir()} for name in "ab"]
    assert drawn[0] == drawn[1]
    weights, pages = 3, ["contact_sheet.png", "contact_sheet_2.png"]
    assert len(drawn[0]) == len(Calibration.load(folder / "m.calib.json").tensors) + weights + len(pages)
    assert set(pages) <= drawn[0].keys()
    with Image.open(folder / "a" / "contact_sheet.png") as sheet:
        assert sheet.width > 500


def test_method_and_bits_change_the_pictures(folder: Path) -> None:
    assert run(["inspect", "m.calib.json", "--plot", "a"]) == 0
    assert run(["inspect", "m.calib.json", "--plot", "b", "--bits", "4"]) == 0
    assert run(["inspect", "m.calib.json", "--plot", "c", "--method", "mse"]) == 0
    assert len({(folder / name / "contact_sheet.png").read_bytes() for name in "abc"}) == 3


def test_json_stays_json_while_pictures_are_drawn(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run(["inspect", "m.calib.json", "--json", "--plot", "a"]) == 0
    text = capsys.readouterr()
    assert json.loads(text.out)["format"] == "qconv-ranges-1"
    assert "a: pictures of" in text.err


def test_a_calibration_without_its_model_or_with_another_is_told_too(
    folder: Path, sample_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = folder / "alone"
    alone.mkdir()
    shutil.copy("m.calib.json", alone / "m.calib.json")
    for model in (None, sample_models / "digits_resnet.onnx", folder / "d.npz"):
        if model is not None:
            shutil.copy(model, alone / "m.onnx")
        capsys.readouterr()
        assert run(["inspect", "alone/m.calib.json", "--json"]) == 0
        names = [row["tensor"] for row in json.loads(capsys.readouterr().out)["tensors"]]
        assert set(names) == set(Calibration.load(folder / "m.calib.json").tensors)


def test_warnings_of_a_calibration_are_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["calibrate", "m.onnx", "-o", "free.json"]) == 0
    capsys.readouterr()
    assert run(["inspect", "free.json"]) == 0
    text = capsys.readouterr()
    assert "synthetic" in text.err
    assert "derived" in text.out


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["m.onnx", "--plot", "p"], 2, "--plot: for a calibration, and m.onnx is none; inspect what `qconv calibrate` writes"),
        (["m.onnx", "--method", "mse", "--bits", "4"], 2, "--method and --bits: for a calibration"),
        (["absent.json", "--plot", "p"], 3, "there is no file absent.json"),
        (["m.calib.json", "--plot", "d.npz"], 7, "d.npz is no folder"),
        (["m.calib.json", "--plot", "d.npz/deeper"], 7, "d.npz is no folder"),
        (["m.calib.json", "--method", "ema"], 5, "kept no moving averages"),
        (
            ["table.json"],
            5,
            "table.json is not a calibration (its format is 'qconv-table-1'); give what `qconv calibrate` writes",
        ),
        (["old.json"], 5, "old.json is not a calibration of this version"),
        (["cut.json"], 5, "cut.json is not valid JSON"),
        (["list.json"], 3, "list.json is not an ONNX model"),
        (["."], 3, ". is not a file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_refusals(folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, sentence: str) -> None:
    Path("table.json").write_text('{"format": "qconv-table-1"}')
    Path("old.json").write_text('{"format": "qconv-calibration-0"}')
    Path("cut.json").write_text(Path("m.calib.json").read_text()[:200])
    Path("list.json").write_text("[1, 2]")
    before = sorted(path.name for path in folder.iterdir())
    capsys.readouterr()
    assert run(["inspect", *arguments]) == code
    error = capsys.readouterr().err
    assert sentence in error
    assert len([line for line in error.splitlines() if line and not line.startswith(("Usage", "Try"))]) == 1
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_folder_that_cannot_be_drawn_into_is_told_before_the_work(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("m.calib.json").unlink()
    assert run(["calibrate", "m.onnx", "--data", "d.npz", "--plot", "d.npz"]) == 7
    assert "d.npz is no folder" in capsys.readouterr().err
    assert run(["calibrate", "m.onnx", "--data", "d.npz", "--check-data", "--plot", "p"]) == 2
    assert "--check-data writes nothing" in capsys.readouterr().err
    assert sorted(path.name for path in folder.iterdir()) == ["d.npz", "m.onnx"]


def test_a_float_model_is_told_what_becomes_of_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run(["inspect", "m.onnx"]) == 0
    out = capsys.readouterr().out
    assert "is a float model" in out and "input image: float32 [" in out and "output logits: float32 [" in out
    assert "0 stay in float" in out and "next: qconv calibrate m.onnx --data DATA" in out
    assert "m0" not in out
