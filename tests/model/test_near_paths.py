"""A mistyped path is answered by the path that is there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qconv import ArtifactError, DataError, ModelError, QuantPlan
from qconv.data.source import InputInfo
from qconv.model.near_paths import path_hint, unreadable
from qconv.model.read import read_model
from qconv.pipeline.open_source import open_source
from qconv.statistics.calibration import Calibration


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "digits").mkdir()
    for name in ("model.onnx", "model.calib.json", "plan.json", "digits/train.npz"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("modle.onnx", "model.onnx"), ("model.onx", "model.onnx"), ("MODEL.ONNX", "model.onnx"), ("dgits", "digits"),
        ("digit/trian.npz", "digits/train.npz"),
    ],
)  # fmt: skip
def test_the_most_alike_is_named(folder: Path, given: str, meant: str) -> None:
    assert path_hint(folder / given) == f"did you mean {folder / meant}?"


def test_relative_paths_stay_relative(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert path_hint("modle.onnx") == "did you mean model.onnx?"


@pytest.mark.parametrize("given", ["resnet.onnx", "elsewhere/model.onnx", "model.onnx", "plan.json/model.onnx"])
def test_nothing_is_guessed_where_nothing_is_alike_or_the_path_is_there(folder: Path, given: str) -> None:
    assert path_hint(folder / given) == "check the path"


def test_models_samples_calibrations_and_plans_are_suggested(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"did you mean .*/model\.onnx\?$"):
        read_model(folder / "modle.onnx")
    for name in ("dgits", "digits/trian.npz"):
        with pytest.raises(DataError, match=r"did you mean .*/digits"):
            open_source(str(folder / name), [InputInfo("x", np.dtype(np.float32), (1, 4))])
    with pytest.raises(ArtifactError, match=r"did you mean .*/model\.calib\.json\?$"):
        Calibration.load(folder / "model.clib.json")
    with pytest.raises(ArtifactError, match=r"did you mean .*/plan\.json\?$"):
        QuantPlan.load(folder / "plna.json")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (FileNotFoundError(2, "No such file or directory", "x"), "there is no plan p.json; plan anew"),
        (PermissionError(13, "Permission denied", "x"), "the plan p.json cannot be read (Permission denied); plan anew"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "odd"), "the plan p.json cannot be read (it is not UTF-8 text); plan anew"),
        (
            OSError("it is a pipe"),
            "the plan p.json cannot be read (it is a pipe); plan anew",
        ),
    ],
)
def test_the_sentence_about_a_file_has_no_numbers_of_errors(error: Exception, sentence: str) -> None:
    assert unreadable("plan", "p.json", error, "plan anew") == sentence
