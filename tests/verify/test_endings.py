"""Where values end that are only selected, and that no layer is blamed for what nothing uses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qconv import pipeline
from qconv.verify.measure.endings import endings, used
from tests.lower.harness import Given, normal, quantize_graph, write_model


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("y = Relu (a)", ("y",)),
        ("t = Transpose (a) y = Relu (t)", ("y",)),
        ("m = MaxPool <kernel_shape = [2, 2]> (a) r = Relu (m) y = Exp (r)", ("r",)),
        ("r = Relu (a) c = Clip (a, zero) j = Concat <axis = 0> (r, c) y = Exp (j)", ("j",)),
        ("r = Relu (a) t = Transpose <perm = [0, 1, 3, 2]> (a) e = Exp (t) y = Add (r, e)", ("r", "t")),
        ("r = Relu (a) e = Exp (a) y = Add (r, e)", ()),
        ("g = GlobalAveragePool (a) y = Relu (g)", ()),  # an average uses what it does not give
    ],
)
def test_endings(tmp_path: Path, body: str, expected: tuple[str, ...]) -> None:
    text = f"g (float[1, 2, 4, 4] x) => (float[A, B, C, D] y) {{ a = Neg (x) {body} }}"
    path = write_model(tmp_path / "m.onnx", text, {"zero": np.zeros((), np.float32)})
    assert endings(pipeline.load_prepared(path).original.graph).get("a", ()) == expected


def test_an_output_of_the_graph_is_used_in_full(tmp_path: Path) -> None:
    text = "g (float[2] x) => (float[2] a, float[2] y) { a = Neg (x) y = Relu (a) }"
    assert endings(pipeline.load_prepared(write_model(tmp_path / "m.onnx", text, {})).original.graph) == {}


def test_values_beyond_the_codes_stay_where_they_come_out() -> None:
    real = np.array([-9.0, -1.0, 2.0, 7.0], np.float32)
    assert used(real, (0.0, 5.0), [(0.5, 2.0)]).tolist() == [0.0, 0.0, 2.0, 5.0]
    assert used(real, (0.0, 5.0), [(2.0, 7.0)]).tolist() == [0.0, 0.0, 2.0, 7.0]
    assert used(real, (0.0, 5.0), [(2.0, 2.0), (-1.0, -1.0)]).tolist() == [-1.0, -1.0, 2.0, 5.0]
    assert used(real, (0.0, 5.0), []) is real


@pytest.mark.parametrize("between", ["GlobalMaxPool", "Flatten"])
def test_a_layer_is_judged_after_the_clamp_that_follows_it(tmp_path: Path, between: str) -> None:
    """Half of what the convolution gives is below zero, where its codes end, as nothing reads it."""
    text = f"""g (float[1, 3, 8, 8] x) => (float[N, M] y) {{
        [conv] a = Conv (x, w)
        m = {between} (a)
        r = Relu (m)
        f = Flatten (r)
        y = MatMul (f, v)
    }}"""
    size = 4 * 64 if between == "Flatten" else 4
    feeds = [{"x": normal(1, 3, 8, 8, seed=seed)} for seed in range(8)]
    result = quantize_graph(tmp_path, text, {"w": normal(4, 3, 1, 1), "v": normal(size, 3)}, feeds)
    result.quantized.save(tmp_path / "m.int8.onnx")
    layers = pipeline.verify(result.path, tmp_path / "m.int8.onnx", Given(feeds)).layers
    conv = next(layer for layer in layers if layer.node == "conv")
    assert conv.own is not None
    assert min(conv.similarity.sqnr_db, conv.own.sqnr_db) > 30  # 8 bits of a normal distribution leave about 40 dB
