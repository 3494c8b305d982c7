from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qconv.errors import ArtifactError
from qconv.quant.types import UINT8, Scheme
from qconv.ranges.choices import choice_of, range_of
from qconv.statistics.averages import Averages
from qconv.statistics.calibration import Calibration
from qconv.statistics.summary import Summary

Z = Summary.of(np.array([-1.5, 0.0, 0.0, 1.25, 2.0], np.float32))
A = Summary.of(np.array([0.0, 0.5], np.float32))
MINMAX = Calibration("ab" * 32, "minmax", 3, "ü.npz (3 samples)", None, {"z": Z, "a": A})
EMA = Calibration("cd" * 32, "ema", 2, "noise", "no data", {"t": replace(Z, averages=Averages(-0.1, 1 / 3, 2))})
EMPTY = replace(MINMAX, tensors={})


@pytest.mark.parametrize("calibration", [MINMAX, EMA, EMPTY], ids=["minmax", "ema", "empty"])
def test_round_trip(calibration: Calibration, tmp_path: Path) -> None:
    path = tmp_path / "m.calib.json"
    calibration.save(path)
    assert Calibration.load(path) == calibration
    json.loads(path.read_text(encoding="utf-8"))


def test_text_does_not_depend_on_the_order_of_the_tensors() -> None:
    turned = replace(MINMAX, tensors=dict(reversed(list(MINMAX.tensors.items()))))
    assert turned.dumps() == MINMAX.dumps()
    assert MINMAX.dumps().index('"a"') < MINMAX.dumps().index('"z"')


def test_ranges_for_planning() -> None:
    found = range_of(MINMAX, Scheme(UINT8))
    assert found("z") == (-1.5, 2.0)
    assert found("nowhere") is None


def test_any_method_on_any_file() -> None:
    assert range_of(MINMAX, Scheme(UINT8), "percentile", 50.0)("z") == pytest.approx((0.0, 1.25), abs=1 / 256)
    assert range_of(EMA, Scheme(UINT8))("t") == (-0.1, 1 / 3)
    assert range_of(EMA, Scheme(UINT8), "minmax")("t") == (-1.5, 2.0)
    with pytest.raises(ArtifactError, match="--method ema"):
        range_of(MINMAX, Scheme(UINT8), "ema")("z")


def test_another_model_is_refused() -> None:
    MINMAX.check_model("ab" * 32)
    with pytest.raises(ArtifactError, match=r"another model .*abababababab.*eeeeeeeeeeee"):
        MINMAX.check_model("e" * 64)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[]", r"is not a calibration \(its format is None\)"),
        (MINMAX.dumps().replace("calibration-3", "calibration-9"), "not a calibration of this version"),
        (MINMAX.dumps()[:-20], "not valid JSON"),
        (MINMAX.dumps().replace("-1.5", '"low"'), "damaged"),
        (MINMAX.dumps().replace("-1.5", "NaN"), "damaged"),
        (MINMAX.dumps().replace('"samples": 3,\n', '"samples": "three",\n'), "damaged"),
        (MINMAX.dumps().replace('"warning": null', '"warning": 1'), "damaged"),
        (MINMAX.dumps().replace('"model_sha256"', '"model"'), "damaged"),
        (EMPTY.dumps().replace("{}", "[]"), "damaged"),
    ],
)
def test_damage_is_one_sentence(text: str, reason: str) -> None:
    with pytest.raises(ArtifactError, match=reason) as caught:
        Calibration.loads(text, "m.calib.json")
    assert "m.calib.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_method_of_another_version_is_refused_where_ranges_are_chosen() -> None:
    text = MINMAX.dumps().replace('"minmax"', '"median"')
    calibration = Calibration.loads(text, "m.calib.json")
    with pytest.raises(ArtifactError, match="'median', which is not known here"):
        choice_of(calibration, Scheme(UINT8))
    assert range_of(calibration, Scheme(UINT8), "minmax")("z") == (-1.5, 2.0)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    binary = tmp_path / "binary.json"
    binary.write_bytes(b"\xff\xfe\x00")
    for path, sentence in (
        (tmp_path / "absent.json", "there is no calibration"),
        (tmp_path, "holds samples and is no calibration"),
        (binary, "cannot be read"),
    ):
        with pytest.raises(ArtifactError, match=sentence):
            Calibration.load(path)
