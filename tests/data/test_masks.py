"""-inf is taken where a model adds it before a Softmax, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qconv.cli.main import run
from tests.lower.harness import normal, write_model

TOKENS = 12
TEXT = (
    f"g (float[1,{TOKENS},8] x, float[1,{TOKENS},{TOKENS}] m) => (float[1,{TOKENS},8] y) "
    "{ t = Transpose<perm=[0,2,1]>(x) s = MatMul(x, t) z = Add(s, m) p = Softmax(z) y = MatMul(p, x) }"
)


def samples(value: float, count: int = 20) -> dict[str, np.ndarray]:
    causal = np.where(np.tril(np.ones((TOKENS, TOKENS))) > 0, np.float32(0), np.float32(value))
    return {"x": normal(count, TOKENS, 8), "m": np.stack([causal] * count).astype(np.float32)}


@pytest.fixture(autouse=True)
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path / "m.onnx", TEXT, {})


def test_a_mask_of_infinities_is_an_input(capsys: pytest.CaptureFixture[str]) -> None:
    np.savez("d.npz", **samples(-np.inf))  # type: ignore[arg-type]
    assert run(["calibrate", "m.onnx", "--data", "d.npz"]) == 0
    assert run(["quantize", "m.onnx", "--integer-only"]) == 0
    capsys.readouterr()
    assert run(["verify", "m.onnx", "--min-sqnr", "30", "--strict"]) == 0
    assert "-inf" not in capsys.readouterr().out


@pytest.mark.parametrize(("name", "value"), [("x", -np.inf), ("m", np.inf), ("m", np.nan)])
def test_other_infinities_are_refused(capsys: pytest.CaptureFixture[str], name: str, value: float) -> None:
    arrays = samples(0.0, 2)
    arrays[name][1, 0, 0] = value
    np.savez("d.npz", **arrays)  # type: ignore[arg-type]
    assert run(["calibrate", "m.onnx", "--data", "d.npz"]) == 4
    assert f"d.npz[1] holds {'NaN' if np.isnan(value) else 'Inf'} in input {name}" in capsys.readouterr().err
