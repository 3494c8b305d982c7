"""The table holds what someone needs who computes a layer by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from qconv.integer.multiplier_table import dumps_table, stale_table
from qconv.quant.fixedpoint import Multiplier, requantize
from tests.lower.harness import normal, quantize_graph


def test_a_layer_computed_from_the_table_alone(tmp_path: Path) -> None:
    text = "g (float[1,6] x) => (float[1,5] y) { y = Gemm(x, w, b) }"
    result = quantize_graph(tmp_path, text, {"w": normal(6, 5), "b": normal(5)}, [{"x": normal(1, 6)}])
    model, values = result.quantized.model, result.values()
    table = json.loads(dumps_table(result.quantized.lowering.program, "ab12"))
    row = next(row for row in table["nodes"] if row["op"] == "QGemm")
    x, w = row["inputs"]
    bias = model.graph.initializers[row["bias"]].const_value
    codes = model.graph.initializers[w["name"]].const_value
    assert bias is not None
    assert codes is not None
    acc = (values[x["name"]].astype(np.int64) - x["zero_point"]) @ codes.numpy().astype(np.int64) + bias.numpy()
    multiplier = Multiplier(np.asarray(row["m0"]), np.asarray(row["n"]))
    assert np.array_equal(requantize(acc, multiplier, row["zero_point"], 0, 255), values[row["output"]])
    scales = np.float32(x["scale"]) * np.asarray(w["scale"], np.float32) / np.float32(row["scale"])
    assert Multiplier.of(scales) == multiplier


def test_a_table_of_another_model_is_told_of(tmp_path: Path) -> None:
    model = tmp_path / "m.int8.onnx"
    assert stale_table(model, "ab12") is None
    for text, warned in (('{"integer_model_sha256": "ab12"}', False), ('{"integer_model_sha256": "cd34"}', True), ("[1", False)):
        model.with_suffix(".json").write_text(text)
        assert (stale_table(model, "ab12") is not None) == warned
