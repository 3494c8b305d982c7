"""No output is an input of its command, and none replaces a file of another kind."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import pytest

from qconv.cli.main import run


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, sample_models: Path) -> Path:
    """A folder with one artefact of each kind, made once."""
    folder = tmp_path_factory.mktemp("made")
    for source, name in (("digits_mobilenet.onnx", "m.onnx"), ("digits_calib.npz", "d.npz"), ("digits_test.npz", "t.npz")):
        shutil.copy(sample_models / source, folder / name)
    with contextlib.chdir(folder):
        assert run(["calibrate", "m.onnx", "--data", "d.npz", "--samples", "8"]) == 0
        assert run(["quantize", "m.onnx", "--effort", "none", "--save-plan", "p.json"]) == 0
        assert run(["export", "m.int8.onnx", "--to", "qdq", "-o", "q.onnx"]) == 0
    for name, source in (("other.onnx", "m.onnx"), ("second.onnx", "m.int8.onnx"), ("data.bin", "d.npz")):
        shutil.copy(folder / source, folder / name)
    shutil.copy(folder / "p.json", folder / "plan.png")
    for name in ("sub", "folder.png"):
        (folder / name).mkdir()
    return folder


@pytest.fixture
def full(made: Path, folder: Path) -> Path:
    """A copy of it as the working directory, with a link and a hard link to the models."""
    shutil.copytree(made, folder, dirs_exist_ok=True)
    (folder / "link.onnx").symlink_to("m.onnx")
    (folder / "hard.onnx").hardlink_to(folder / "m.onnx")
    (folder / "hard8.onnx").hardlink_to(folder / "m.int8.onnx")
    return folder


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["quantize", "m.onnx", "-o", "m.onnx"], "this command reads"),
        (["quantize", "m.onnx", "-o", "sub/../m.onnx"], "this command reads"),
        (["quantize", "m.onnx", "-o", "link.onnx"], "this command reads"),
        (["quantize", "m.onnx", "-o", "hard.onnx"], "this command reads"),
        (["quantize", "m.onnx", "-o", "m.calib.onnx"], "this command reads"),
        (["quantize", "m.onnx", "--save-plan", "m.calib.json"], "this command reads"),
        (["quantize", "m.onnx", "--data", "d.npz", "-o", "d.npz"], "this command reads"),
        (["quantize", "m.onnx", "--plan", "p.json", "-o", "p.onnx"], "this command reads"),
        (["quantize", "m.onnx", "--save-plan", "m.int8.json"], "both be written"),
        (["quantize", "m.onnx", "-o", "x.json"], "both be written"),
        (["quantize", "m.onnx", "--save-plan", "m.int8.onnx"], "both be written"),
        (["quantize", "m.onnx", "--save-plan", "t.npz"], "holds samples"),
        (["quantize", "m.onnx", "-o", "p.onnx"], "holds a plan"),
        (["calibrate", "m.onnx", "-o", "m.onnx"], "this command reads"),
        (["calibrate", "link.onnx", "-o", "m.onnx"], "this command reads"),
        (["calibrate", "m.onnx", "-o", "m.int8.onnx"], "holds an integer model"),
        (["calibrate", "m.onnx", "-o", "m.int8.json"], "holds a table of multipliers"),
        (["calibrate", "m.onnx", "--data", "d.npz", "-o", "d.npz"], "this command reads"),
        (["merge", "m.calib.json", "-o", "m.calib.json"], "this command reads"),
        (["merge", "m.calib.json", "-o", "p.json"], "holds a plan"),
        (["verify", "m.onnx", "--html", "m.onnx"], "this command reads"),
        (["verify", "m.onnx", "--data", "d.npz", "--html", "d.npz"], "this command reads"),
        (["verify", "m.onnx", "--html", "p.json"], "holds a plan"),
        (["quantize", "m.onnx", "-o", "other.onnx"], "holds a model that qconv did not make"),
        (["quantize", "m.onnx", "-o", "q.onnx"], "holds a model with QuantizeLinear"),
        (["export", "m.int8.onnx", "--to", "qdq", "-o", "m.onnx"], "holds a model that qconv did not make"),
        (["export", "m.int8.onnx", "--to", "qdq", "-o", "m.int8.onnx"], "this command reads"),
        (["export", "m.int8.onnx", "--to", "qdq", "-o", "hard8.onnx"], "this command reads"),
        (["export", "m.int8.onnx", "--to", "qdq", "-o", "second.onnx"], "holds an integer model"),
        (["export", "m.int8.onnx", "--to", "json", "-o", "p.json"], "holds a plan"),
        (["export", "m.int8.onnx", "--to", "json", "-o", "data.json"], "no table is beside"),
        (["export", "m.int8.onnx", "--to", "c", "-o", "."], "files of something else"),
        (["export", "m.int8.onnx", "--to", "vectors", "-o", "."], "files of something else"),
        (["export", "m.int8.onnx", "--to", "memh", "-o", "."], "files of something else"),
        (["analyze", "m.onnx", "--plot", "m.onnx"], ".png or .svg"),
        (["analyze", "m.onnx", "--plot", "plan.png"], "holds a plan"),
        *(
            (command, words)
            for name, words in (("sub", "is a folder"), ("none/x", "No such file"), ("p.json/x", "cannot be"))
            for command in (
                ["quantize", "m.onnx", "-o", name],
                ["quantize", "m.onnx", "--save-plan", name],
                ["quantize", "m.onnx", "--mode", "dynamic", "-o", name],
                ["calibrate", "m.onnx", "--data", "d.npz", "-o", name],
                ["merge", "m.calib.json", "-o", name],
                ["verify", "m.onnx", "--html", name],
                ["export", "m.int8.onnx", "--to", "qdq", "-o", name],
                ["analyze", "m.onnx", "--plot", "folder.png" if name == "sub" else f"{name}.png"],
                ["report", "m.calib.json", "-o", name],
            )
        ),
        (["export", "m.int8.onnx", "--to", "c", "-o", "p.json/x"], "is a file"),
        (["calibrate", "m.onnx", "--data", "d.npz", "--plot", "p.json"], "is no folder"),
        (["calibrate", "m.onnx", "--data", "d.npz", "--plot", "p.json/x"], "is no folder"),
    ],
)
def test_nothing_is_lost(full: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    before = contents(full)
    capsys.readouterr()
    assert run(arguments) == 7
    message = capsys.readouterr().err
    assert words in message
    assert len(message.splitlines()) == 1
    assert contents(full) == before


def test_results_of_the_same_kind_are_replaced(full: Path) -> None:
    for _ in range(2):
        assert run(["calibrate", "m.onnx", "--data", "d.npz", "--samples", "9"]) == 0
        assert run(["quantize", "m.onnx", "--effort", "none", "--save-plan", "p.json"]) == 0


@pytest.mark.parametrize("form", ["json", "qdq", "c", "vectors", "memh"])
def test_an_export_replaces_what_it_wrote(full: Path, form: str) -> None:
    assert [run(["export", "m.int8.onnx", "--to", form, "-o", f"e.{form}"]) for _ in range(2)] == [0, 0]


def test_a_damaged_calibration_is_replaced_as_its_message_asks(full: Path) -> None:
    (full / "m.calib.json").write_bytes(b"\0\0 damaged")
    assert run(["calibrate", "m.onnx", "--data", "d.npz", "--samples", "8"]) == 0


@pytest.mark.parametrize("command", ["calibrate", "quantize"])
def test_a_name_that_no_file_system_takes(full: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    capsys.readouterr()
    assert run([command, "m.onnx", "--samples", "8", "-o", "x" * 300]) == 7
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["quantize", "m.onnx", "-o", ""], ["calibrate", "m.onnx", "-o", "."], ["quantize", "m.onnx", "--save-plan", "/"]],
)
def test_a_path_without_a_name_is_refused(folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert run(arguments) == 2
    assert "has no name" in capsys.readouterr().err and sorted(contents(folder)) == ["d.npz", "m.onnx", "t.npz"]


def test_an_integer_model_of_another_float_model_is_told(full: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (full / "later.onnx").write_bytes((full / "m.onnx").read_bytes() + b"\x32\x01x")  # a doc_string more
    for model, told in (("m.onnx", False), ("later.onnx", True)):
        assert run(["verify", model, "m.int8.onnx", "--data", "d.npz", "--samples", "2"]) == 0
        assert ("another float model" in capsys.readouterr().out) == told
