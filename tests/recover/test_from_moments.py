"""Weights fitted to second moments of the float network, where the samples are gone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qconv import pipeline
from qconv.config import QuantConfig
from qconv.model.session import open_session
from qconv.statistics.calibration import Calibration


def noise(model: Path, written: Path, pictures: np.ndarray) -> float:
    """The mean squared difference of the outputs, of the float model's power."""
    sessions = [open_session(path, threads=1) for path in (model, written)]
    exact, found = (np.concatenate([session.run(None, {"image": p[None]})[0] for p in pictures]) for session in sessions)
    return float(np.square(exact - found).mean() / np.square(exact).mean())


@pytest.fixture(scope="module")
def gone(sample_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Calibration:
    """A calibration with moments whose samples cannot be opened again."""
    folder = tmp_path_factory.mktemp("moved")
    data = folder / "d.npz"
    data.write_bytes((sample_models / "digits_calib.npz").read_bytes())
    found = pipeline.calibrate(sample_models / "digits_mobilenet.onnx", str(data), moments=True, threads=1)
    found.save(folder / "m.calib.json")
    data.unlink()
    return Calibration.load(folder / "m.calib.json")


@pytest.mark.parametrize(("bits", "share"), [(8, 0.9), (4, 0.4)])
def test_less_noise_than_nearest_codes(sample_models: Path, tmp_path: Path, gone: Calibration, bits: int, share: float) -> None:
    model, found = sample_models / "digits_mobilenet.onnx", {}
    with np.load(sample_models / "digits_test.npz") as stored:
        pictures = stored["image"][:60]
    for effort in ("none", "fast"):
        result = pipeline.quantize(model, gone, config=QuantConfig(weight_bits=bits, effort=effort))
        assert result.recovery is None and (result.by_moments is not None) == (effort == "fast")
        result.save(tmp_path / f"{effort}.onnx")
        found[effort] = noise(model, tmp_path / f"{effort}.onnx", pictures)
    assert found["fast"] < share * found["none"]  # measured: 0.63 and 0.18


def test_the_same_moments_give_the_same_bytes(sample_models: Path, tmp_path: Path, gone: Calibration) -> None:
    for name in ("one.onnx", "two.onnx"):
        pipeline.quantize(sample_models / "digits_mobilenet.onnx", gone).save(tmp_path / name)
    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "two.onnx").read_bytes()


def test_samples_go_before_moments(sample_models: Path) -> None:
    data = str(sample_models / "digits_calib.npz")
    found = pipeline.calibrate(sample_models / "digits_mlp.onnx", data, samples=30, moments=True, threads=1)
    result = pipeline.quantize(sample_models / "digits_mlp.onnx", found)
    assert result.recovery is not None and result.by_moments is None
