"""A run that is repeated with --like gives the same bytes, whatever flag it was made with."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper

from qconv.cli.main import run
from qconv.cli.quantize import quantize

# What says which samples there are and how they are read: a repeated run is given the same ones.
SAMPLES = {
    "calibration", "data", "samples", "preset", "resize", "crop", "scale", "mean", "std", "layout", "channels",
}  # fmt: skip
# What changes no byte of the model, or is a part of repeating.
NO_BYTES = {"like", "config", "output", "save_plan", "as_json", "strict", "threads", "quiet", "verbose", "help"}
# What the first attempt may meet.
GOALS = {"max_drop", "min_sqnr", "time_limit"}
# For every other flag a run that it changes; a flag without one fails below.
RUNS: dict[str, list[str]] = {
    "bits": ["--bits", "6"],
    "weight_bits": ["--weight-bits", "4"],
    "activation_bits": ["--activation-bits", "6"],
    "method": ["--method", "mse"],
    "percentile": ["--method", "percentile", "--percentile", "99"],
    "per_tensor": ["--per-tensor"],
    "pow2": ["--pow2"],
    "dyadic": ["--dyadic"],
    "levels": ["--levels", "two-powers"],
    "exclude": ["--exclude", "last"],
    "pin": ["--pin", "N=1"],
    "prefer": ["--prefer", "speed"],
    "integer_only": ["--integer-only"],
    "io": ["--io", "uint8"],
    "target": ["--target", "arm"],
    "no_tune": ["--no-tune"],
    "mode": ["--mode", "dynamic"],
    "group": ["--mode", "weight-only", "--group", "64"],
    "effort": ["--effort", "none"],
    "budget": ["--budget", "0.8x-size"],
    "max_drop": ["--max-drop", "0.1"],
    "min_sqnr": ["--min-sqnr", "42"],
    "time_limit": ["--min-sqnr", "20", "--time-limit", "600"],
    "encodings": ["--encodings", "e.json"],
    "plan": ["--plan", "p.json"],
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small model, its calibration and samples, encodings and a plan."""
    folder = tmp_path_factory.mktemp("like")
    rng = np.random.default_rng(0)
    shapes = {"w": (64, 32), "i": (1, 32, 32), "r": (1, 32, 32), "v": (32, 6)}
    weights = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()} | {"a": np.zeros(1, np.int64)}
    text = """<ir_version: 8, opset_import: ["" : 17]> g (float[N, 64] x) => (float[N, 6] y)
        { h = MatMul(x, w) g = Relu(h) s = Unsqueeze(g, a) t, l = RNN<hidden_size = 32>(s, i, r) u = Squeeze(l, a)
          y = MatMul(u, v) }"""
    model = onnx.parser.parse_model(text)
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    for node, name in zip(model.graph.node, ("first", "relu", "sequence", "recurrent", "step", "last"), strict=True):
        node.name = name
    onnx.save(model, folder / "m.onnx")
    np.savez(folder / "d.npz", x=rng.normal(size=(12, 64)).astype(np.float32))
    (folder / "e.json").write_text('{"tensors": {"y": {"min": -60.0, "max": 60.0}}}')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run(["calibrate", "m.onnx", "--data", "d.npz", "-q"]) == 0
        assert run(["quantize", "m.onnx", "-o", "plain.onnx", "-q"]) == 0
        assert run(["quantize", "m.onnx", "--effort", "none", "--save-plan", "p.json", "-q"]) == 0
    plan = json.loads((folder / "p.json").read_text())
    plan["tensors"]["y"]["scale"] = 0.5
    (folder / "p.json").write_text(json.dumps(plan))
    return folder


@pytest.fixture
def made(small: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(small)
    return small


def test_every_flag_is_repeated_or_known_to_change_nothing() -> None:
    assert {str(parameter.name) for parameter in quantize.params} - {"model"} <= set(RUNS) | SAMPLES | NO_BYTES
    assert not set(RUNS) & (SAMPLES | NO_BYTES)


@pytest.mark.parametrize("flag", sorted(RUNS))
def test_the_bytes_are_the_same(flag: str, made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["quantize", "m.onnx", *RUNS[flag], "-o", "a.onnx", "-q"]) in (0, 1)
    capsys.readouterr()
    assert run(["quantize", "m.onnx", "--like", "a.onnx", "-o", "b.onnx", "-q"]) == 0
    assert "--like" not in capsys.readouterr().err
    assert (made / "a.onnx").read_bytes() == (made / "b.onnx").read_bytes()
    if flag not in GOALS:
        assert (made / "a.onnx").read_bytes() != (made / "plain.onnx").read_bytes()


@pytest.mark.parametrize("name", ["e.json", "p.json"])
def test_a_file_that_is_another_one_is_told(name: str, made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flag = {"e.json": "encodings", "p.json": "plan"}[name]
    assert run(["quantize", "m.onnx", *RUNS[flag], "-o", "a.onnx", "-q"]) == 0
    with (made / name).open("a") as file:
        file.write(" ")
    capsys.readouterr()
    assert run(["quantize", "m.onnx", "--like", "a.onnx", "-o", "b.onnx", "-q"]) == 0
    assert f"another file for --{flag}" in capsys.readouterr().err
