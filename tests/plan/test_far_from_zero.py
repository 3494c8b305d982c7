"""Gates that vary little around a half: one line about all of them, which warns where the outputs suffer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qconv import pipeline
from qconv.cli.main import run
from qconv.model.session import open_session
from tests.lower.harness import normal, write_model

_GATES = 5


def _gated(folder: Path, scale: float) -> str:
    """Convolutions, each gated by a Sigmoid of small sums; the gates alone are the output where `scale` is large."""
    body, last = "", "x"
    for i in range(_GATES):
        body += f"c{i} = Conv(x, w{i}) p{i} = GlobalAveragePool(c{i}) s{i} = Sigmoid(p{i}) m{i} = Mul({last}, s{i}) "
        last = f"m{i}"
    end = f"y = Identity({last})" if scale == 1 else "d = Sub(s0, half) y = Mul(d, ten)"
    used = {f"w{i}": normal(3, 3, 1, 1, seed=i, scale=0.1) for i in range(_GATES)}
    used |= {} if scale == 1 else {"half": np.asarray(0.5, np.float32), "ten": np.asarray(scale, np.float32)}
    path = write_model(folder / "m.onnx", f"g (float[n,3,8,8] x) => (float[n,3,a,b] y) {{ {body} {end} }}", used)
    np.savez(folder / "d.npz", x=normal(20, 3, 8, 8))
    return str(path)


def test_one_line_for_all_nodes_that_is_a_note_where_the_outputs_are_good(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _gated(tmp_path, 1)
    assert run(["quantize", path, "--data", str(tmp_path / "d.npz"), "--strict"]) == 0
    said = capsys.readouterr()
    assert said.out.count("far from zero") == 1 and "far from zero" not in said.err
    assert f"and {_GATES - 3} more give lies far from zero" in said.out.replace("\n", " ")


def test_it_is_a_warning_where_an_output_is_poor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, data = _gated(tmp_path, 10), str(tmp_path / "d.npz")
    assert run(["quantize", path, "--data", data, "--effort", "none", "--strict"]) == 1
    said = capsys.readouterr()
    assert said.err.count("far from zero") == 1 and "far from zero" not in said.out
    assert "--exclude s" in said.err or "--exclude sigmoid" in said.err
    made = pipeline.quantize(path, pipeline.calibrate(path, data))
    assert len(made.doubts) == 1 and not made.warnings


@pytest.mark.parametrize("behind", ["Relu(s)", "Clip(s, low, high)", "Slice(s, none, three, one)", "Transpose(s)", "Identity(s)"])
def test_what_varies_in_an_output_far_from_zero_is_kept_behind_what_hands_it_on(tmp_path: Path, behind: str) -> None:
    text = f"g (float[n,8] x) => (float[p,q] y) {{ h = MatMul(x, w) s = Sigmoid(h) y = {behind} }}"
    weights = {
        "w": normal(8, 6, scale=1e-3), "low": np.asarray(0, np.float32), "high": np.asarray(1, np.float32),
        "none": np.asarray([0]), "three": np.asarray([3]), "one": np.asarray([1]),
    }  # fmt: skip
    path = write_model(tmp_path / "m.onnx", text, {k: v for k, v in weights.items() if k == "w" or f" {k}" in behind})
    np.savez(tmp_path / "d.npz", x=normal(20, 8))
    found = pipeline.quantize(path, pipeline.calibrate(path, str(tmp_path / "d.npz")))
    x = normal(20, 8)
    right, y = (open_session(model).run(None, {"x": x})[0] for model in (path, found.model))
    assert np.square(right - y).mean() < 1e-3 * right.var()
