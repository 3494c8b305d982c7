"""Planted faults are found: the place that is at fault comes first, and the sentence says what is odd about it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from qconv import pipeline
from qconv.analyze.analysis import Analysis
from qconv.cli.main import cli
from qconv.config import QuantConfig
from qconv.errors import DataError
from tests.lower.harness import Array, Given, normal, write_model

BODY = """g (float[1,3,12,12] x) => (float[1,5] y) {
    a = Conv<pads=[1,1,1,1]>(x, w1, b1)
    r = Relu(a)
    c = Conv<pads=[1,1,1,1]>(r, w2, b2)
    s = Relu(c)
    d = Conv<group=16>(s, w3, b3)
    t = Relu(d)
    p = GlobalAveragePool(t)
    f = Flatten(p)
    y = Gemm(f, w4, b4)
}"""
FEEDS = [{"x": normal(1, 3, 12, 12, seed=seed)} for seed in range(8)]


def _weights() -> dict[str, Array]:
    shapes = {"w1": (16, 3, 3, 3), "w2": (16, 16, 3, 3), "w3": (16, 1, 3, 3), "w4": (16, 5)}
    biases = {"b1": (16,), "b2": (16,), "b3": (16,), "b4": (5,)}
    sizes = {name: float(np.sqrt(np.prod(shape[1:]))) for name, shape in shapes.items()}
    found = {name: normal(*shape, seed=i, scale=1.0 / sizes[name]) for i, (name, shape) in enumerate(shapes.items())}
    return found | {name: normal(*shape, seed=9, scale=0.1) for name, shape in biases.items()}


def _analysis(folder: Path, text: str, weights: Mapping[str, Array], feeds: Sequence[Mapping[str, Array]] = FEEDS) -> Analysis:
    path = write_model(folder / "m.onnx", text, weights)
    calibration = pipeline.calibrate(path, Given(feeds))
    return pipeline.analyze(path, calibration, samples=Given(feeds))


def test_a_good_network_has_nothing_odd(tmp_path: Path) -> None:
    found = _analysis(tmp_path, BODY, _weights())
    assert found.whole_db[8] > 25.0
    assert [place.findings for place in found.places if place.findings] == []
    assert found.whole_db[8] > found.whole_db[6] > found.whole_db[4]
    assert {place.node for place in found.places} == {"x", "conv0", "conv2", "conv4", "globalaveragepool6", "gemm8"}


def test_a_channel_that_is_scaled_and_undone(tmp_path: Path) -> None:
    weights = _weights()
    weights["w2"][3] *= 1000.0
    weights["b2"][3] *= 1000.0
    weights["w3"][3] /= 1000.0
    first = _analysis(tmp_path, BODY, weights).places[0]
    assert first.node == "conv2"
    assert any("the channels of s are far apart" in text for text in first.findings)


def test_an_outlier_weight(tmp_path: Path) -> None:
    weights = _weights()
    weights["w2"][:, 5, 1, 1] = 40.0 * np.abs(weights["w2"]).max()
    weights["w1"][5], weights["b1"][5] = 0.0, 0.0  # what it reads is nothing, so that only rounding sees it
    first = _analysis(tmp_path, BODY, weights).places[0]
    assert first.node == "conv2"
    assert any("times the root mean square of its channel" in text for text in first.findings)


def test_a_wrong_bias(tmp_path: Path) -> None:
    weights = _weights()
    weights["b1"][7], weights["w2"][:, 7] = 400.0, 0.0
    first = _analysis(tmp_path, BODY, weights).places[0]
    assert first.node == "conv0"
    assert any("the bias of output channel 7, 400" in text for text in first.findings)


_MATRICES = """g (float[1,6,32] x) => (float[1,6,8] y) {
    a = MatMul(x, w1) b = Add(a, b1) c = Relu(b) d = MatMul(c, w2) e = Add(d, b2) f = Relu(e) y = MatMul(f, w3)
}"""


def _matrices() -> tuple[dict[str, Array], list[dict[str, Array]]]:
    shapes = {"w1": (32, 24), "w2": (24, 24), "w3": (24, 8)}
    weights = {name: normal(*shape, seed=i, scale=shape[0] ** -0.5) for i, (name, shape) in enumerate(shapes.items())}
    weights |= {"b1": normal(24, seed=4, scale=0.1), "b2": normal(24, seed=5, scale=0.1)}
    return weights, [{"x": normal(1, 6, 32, seed=seed)} for seed in range(6)]


def test_an_outlier_weight_of_a_small_matrix(tmp_path: Path) -> None:
    weights, feeds = _matrices()
    weights["w2"][3, 11] = 30.0
    first = _analysis(tmp_path, _MATRICES, weights, feeds).places[0]
    assert first.node.startswith("matmul3")
    assert first.findings[0].startswith("a weight of output channel 11, 30,")


def test_a_wrong_bias_behind_a_matrix(tmp_path: Path) -> None:
    weights, feeds = _matrices()
    weights["b2"][5] = -60.0  # so that its channel is always cut off, and nothing is lost by it
    first = _analysis(tmp_path, _MATRICES, weights, feeds).places[0]
    assert first.node.startswith("matmul3")
    assert first.findings[0].startswith("the bias of output channel 5, -60,")


def test_a_logarithm_behind_few_codes(tmp_path: Path) -> None:
    text = BODY.replace("y = Gemm(f, w4, b4)", "g = Gemm(f, w4, b4) e = Exp(g) y = Log(e)")
    weights = _weights()
    weights["b4"] = np.linspace(-6.0, 6.0, 5).astype(np.float32)
    first = _analysis(tmp_path, text, weights).places[0]
    assert (first.node, first.readers) == ("exp9", ("log10",))
    assert any("log10 (Log), which reads them" in text for text in first.findings)


def test_a_mask_makes_a_tensor_wide(tmp_path: Path) -> None:
    text = """g (float[1,8,16] x, float[1,1,8] m) => (float[1,8,8] y) {
        q = MatMul(x, w)
        t = Transpose<perm=[0,2,1]>(x)
        s = MatMul(q, t)
        k = Mul(m, far)
        z = Add(s, k)
        y = Softmax(z)
    }"""
    weights: dict[str, Array] = {"w": normal(16, 16, scale=0.1), "far": np.asarray(-10000.0, np.float32)}
    feeds = [{"x": normal(1, 8, 16, seed=i), "m": (np.arange(8) > 5).astype(np.float32).reshape(1, 1, 8)} for i in range(6)]
    found = _analysis(tmp_path, text, weights, feeds)
    assert "softmax5" in found.places[0].readers
    assert any("a mask of 0 and -1e+04" in text for text in found.places[0].findings)


FRONT = """g (float[1,64] x) => (float[1,8] y) {
    a = MatMul(x, w1)
    b = Mul(a, a)
    c = Add(b, small)
    d = Log(c)
    e = MatMul(d, w2)
    y = Relu(e)
}"""


def test_a_front_end_is_proposed_as_a_group(tmp_path: Path) -> None:
    weights: dict[str, Array] = {"w1": normal(64, 16) * np.geomspace(1, 1e-3, 16).astype(np.float32), "w2": normal(16, 8)}
    weights["small"] = np.asarray(1e-8, np.float32)
    feeds = [{"x": normal(1, 64, seed=i)} for i in range(8)]
    found = _analysis(tmp_path, FRONT, weights, feeds)
    best = found.proposals[0]
    assert len(best.exclude) <= 4
    assert best.sqnr_db > found.whole_db[8] + 10.0
    config = QuantConfig(exclude=best.exclude)
    path = tmp_path / "m.onnx"
    pipeline.quantize(path, pipeline.calibrate(path, Given(feeds), config=config), config=config).save(tmp_path / "m.int8.onnx")
    assert abs(_sqnr_db(path, tmp_path / "m.int8.onnx", feeds) - best.sqnr_db) < 1.0


def _sqnr_db(path: Path, integer: Path, feeds: Sequence[Mapping[str, Array]]) -> float:
    from qconv.model.session import open_session

    pairs = [[np.asarray(open_session(p).run(None, dict(f))[0], np.float64) for p in (path, integer)] for f in feeds]
    return float(10 * np.log10(sum((a**2).sum() for a, _ in pairs) / sum(((a - b) ** 2).sum() for a, b in pairs)))


def test_the_command_prints_a_table_json_and_a_picture(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.onnx", BODY, _weights())
    np.savez(tmp_path / "m.npz", x=np.concatenate([feed["x"] for feed in FEEDS]))
    options = [str(path), "--data", str(tmp_path / "m.npz")]
    shown = CliRunner().invoke(cli, ["analyze", *options, "--top", "3", "--plot", str(tmp_path / "m.png")])
    assert shown.exit_code == 0, shown.output
    assert "whole network:" in shown.output
    assert (tmp_path / "m.png").read_bytes().startswith(b"\x89PNG")
    text = CliRunner().invoke(cli, ["analyze", *options, "--json"]).stdout
    data = json.loads(text)
    assert data["format"] == "qconv-analysis-1"
    assert {place["node"] for place in data["places"]} >= {"conv0", "gemm8"}


def test_no_samples_are_told_of(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.onnx", BODY, _weights())
    calibration = pipeline.calibrate(path, Given(FEEDS))
    with pytest.raises(DataError, match="has no samples"):
        pipeline.analyze(path, calibration, samples=Given([]))
