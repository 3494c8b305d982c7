"""A weight that several layers share is stored once, and every layer still computes what its plan says."""

from __future__ import annotations

from pathlib import Path

from qconv import pipeline
from qconv.config import QuantConfig
from qconv.model.graph import shared_arrays
from tests.lower.harness import Array, Given, Result, normal, write_model

TEXT = """g (float[1,64] x, float[1,64] z) => (float[1,64] y) {
    a = Gemm(x, w)
    b = Tanh(a)
    c = Gemm(b, w)
    d = Add(c, z)
    e = Tanh(d)
    y = Gemm(e, w)
}"""


def test_equal_codes_are_stored_once(tmp_path: Path) -> None:
    weights: dict[str, Array] = {"w": normal(64, 64, scale=0.1)}
    path = write_model(tmp_path / "m.onnx", TEXT, weights)
    feeds = [{"x": normal(1, 64, seed=i), "z": normal(1, 64, seed=i + 50)} for i in range(16)]
    loaded = pipeline.load_prepared(path)
    assert len(shared_arrays(loaded.ir.graph)) == 3
    made = pipeline.quantize(loaded, pipeline.calibrate(path, Given(feeds)), config=QuantConfig(), samples=Given(feeds))
    result = Result(path, made, feeds)
    result.assert_exact()
    large = [v for v in made.model.graph.initializers.values() if v.const_value is not None and v.const_value.nbytes >= 4096]
    assert len(large) == 1
    assert result.sqnr_db() > 30.0
