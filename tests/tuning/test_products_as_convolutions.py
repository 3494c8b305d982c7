"""Products of rows that are convolutions for the sake of speed: the same codes, fewer Reshapes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from qconv import pipeline
from qconv.config import QuantConfig
from qconv.export.qdq import qdq_model
from qconv.import_.unfuse import unfuse_operators
from qconv.model.graph import const_array
from tests.lower.harness import Array, Given, Result, normal, quantize_graph, tuned_and_plain

_B = {"w": normal(12, 8), "b": normal(8, seed=1)}
_WIDE = {"w": normal(12, 8), "b": normal(8, seed=1), "g": normal(8, seed=2), "h": normal(8, seed=3)}

# a graph, the shape of x, the weights, and the operators of the tuned graph between the ends
GRAPHS: Mapping[str, tuple[str, tuple[int, ...], Mapping[str, Array], tuple[str, ...]]] = {
    "rows": ("t = MatMul(x, w) y = Add(t, b)", (1, 6, 12), _B, ("QLinearConv",)),
    "rows of a map": ("t = MatMul(x, w) y = Add(t, b)", (1, 4, 5, 12), _B, ("QLinearConv",)),
    "no bias": ("y = MatMul(x, w)", (1, 6, 12), {"w": _B["w"]}, ("QLinearConv",)),
    "an odd number of channels": (
        "t = MatMul(x, w) y = Add(t, b)", (1, 6, 7), {"w": normal(7, 5), "b": normal(5)}, ("QLinearConv",)
    ),
    "many images": ("t = MatMul(x, w) y = Add(t, b)", (40, 3, 12), _B, ("Reshape", "QLinearConv", "Reshape")),
    "many large images": ("t = MatMul(x, w) y = Add(t, b)", (3, 33, 12), _B, ("QLinearConv",)),
    "one row": ("t = MatMul(x, w) y = Add(t, b)", (1, 1, 12), _B, ("Reshape", "QGemm", "Reshape")),
    "a matrix": ("t = MatMul(x, w) y = Add(t, b)", (6, 12), _B, ("QGemm",)),
    "heads that are joined": (
        "s = Constant<value_ints=[1, 6, 12]>() r = Reshape(x, s) t = MatMul(r, w) y = Add(t, b)", (1, 6, 3, 4), _B,
        ("Reshape", "QLinearConv"),
    ),
    "heads that are parted": (
        "t = MatMul(x, w) u = Add(t, b) s = Constant<value_ints=[1, 6, 2, 4]>() y = Reshape(u, s)", (1, 6, 12), _B,
        ("QLinearConv", "Reshape"),
    ),
}  # fmt: skip


def quantized(folder: Path, name: str, *, tune: bool) -> Result:
    body, shape, weights, _ = GRAPHS[name]
    text = f"g (float[{','.join(map(str, shape))}] x) => (float y) {{ {body} }}"
    feeds = [{"x": normal(*shape, seed=seed)} for seed in range(4)]
    return quantize_graph(folder, text, weights, feeds, config=QuantConfig(no_tune=not tune))


@pytest.mark.parametrize("name", GRAPHS)
def test_convolutions_of_rows_give_the_same_codes(tmp_path: Path, name: str) -> None:
    folders = [tmp_path / "tuned", tmp_path / "plain"]
    for folder in folders:
        folder.mkdir()
    tuned, plain = (quantized(folder, name, tune=folder.name == "tuned") for folder in folders)
    tuned.assert_exact()
    assert np.array_equal(tuned.values()["y"], plain.values()["y"])
    assert tuple(op for op in tuned.ops if op != "Constant")[1:-1] == GRAPHS[name][3]
    assert "QLinearConv" not in plain.ops


def test_sums_in_int32_are_made_without_reshapes(tmp_path: Path) -> None:
    body = "t = MatMul(x, w) u = Add(t, b) r = Add(u, x) y = LayerNormalization(r, g, h)"
    text, feeds = f"g (float[1,6,12] x) => (float y) {{ {body} }}", [{"x": normal(1, 6, 12, seed=seed)} for seed in range(4)]
    weights = {"w": normal(12, 12), **{name: normal(12, seed=seed) for seed, name in enumerate("bgh")}}
    results = tuned_and_plain(tmp_path, text, weights, feeds)
    assert [result.ops.count("Reshape") for result in results] == [0, 2]
    assert all("MatMulInteger" in result.ops for result in results)


def test_a_reshape_of_a_part_that_does_nothing_goes(tmp_path: Path) -> None:
    text = (
        "g (float[1,6,12] x) => (float a, float b) { s = Constant<value_ints=[1, -1, 6]>() "
        "p, q = Split<axis=2, num_outputs=2>(x) t = Reshape(q, s) u = Relu(p) a = Sigmoid(u) v = Relu(t) b = Sigmoid(v) }"
    )
    result = quantize_graph(tmp_path, text, {}, [{"x": normal(1, 6, 12, seed=seed)} for seed in range(4)])
    result.assert_exact()
    assert result.sqnr_db() > 30


@pytest.mark.parametrize(("sizes", "kept"), [((1, 6, 8), 0), ((0, 0, 8), 0), ((-1, 6, 8), 0), ((6, 8), 1), ((0, 2, 3, 8), 1)])
def test_a_reshape_behind_a_product_stays_where_it_does_something(tmp_path: Path, sizes: tuple[int, ...], kept: int) -> None:
    target = ", ".join(map(str, sizes))
    body = f"t = MatMul(x, w) u = Add(t, b) s = Constant<value_ints=[{target}]>() v = Reshape(u, s) y = Sigmoid(v)"
    feeds = [{"x": normal(1, 6, 12, seed=seed)} for seed in range(4)]
    result = quantize_graph(tmp_path, f"g (float[1,6,12] x) => (float y) {{ {body} }}", _B, feeds)
    result.assert_exact()
    assert result.ops.count("Reshape") == kept and result.sqnr_db() > 30


@pytest.mark.parametrize("name", ["rows", "rows of a map", "no bias"])
def test_taken_apart_they_are_products_again(tmp_path: Path, name: str) -> None:
    model = quantized(tmp_path, name, tune=True).quantized.model
    unfuse_operators(model)
    ops = [node.op_type for node in qdq_model(model).graph]
    assert ops.count("Gemm") == 1 and "QLinearConv" not in ops and "Transpose" not in ops


@pytest.mark.parametrize("batch", ["1", "B", "B,T"])
def test_read_again_they_keep_their_scales(tmp_path: Path, batch: str) -> None:
    shape = "B,T,12" if batch == "B,T" else f"{batch},6,12"
    body = "t = MatMul(x, w) u = Add(t, b) v = Relu(u) z = MatMul(v, k) y = Add(z, c)"
    weights = {**_B, "k": normal(8, 5, seed=2), "c": normal(5, seed=3)}
    feeds = [{"x": normal(1, 6, 12, seed=seed)} for seed in range(4)]
    first = quantize_graph(tmp_path, f"g (float[{shape}] x) => (float y) {{ {body} }}", weights, feeds)
    first.quantized.save(tmp_path / "first.onnx")
    again = pipeline.quantize(tmp_path / "first.onnx", pipeline.calibrate(tmp_path / "first.onnx", Given(feeds)))
    again.save(tmp_path / "again.onnx")
    files = [str(tmp_path / f"{name}.onnx") for name in ("first", "again")]
    sessions = [ort.InferenceSession(file, providers=["CPUExecutionProvider"]) for file in files]
    for feed in feeds:
        found = [session.run(None, dict(feed))[0] for session in sessions]
        assert np.array_equal(*found)


def test_numbers_beside_columns_have_their_rank(tmp_path: Path) -> None:
    text = "g (float[1,5,6,12] x) => (float y) { y = LayerNormalization(x, g, h) }"
    feeds = [{"x": normal(1, 5, 6, 12, seed=seed)} for seed in range(4)]
    result = quantize_graph(tmp_path, text, {"g": normal(12), "h": normal(12, seed=1)}, feeds)
    result.assert_exact()
    numbers = [
        const_array(value)
        for node in result.quantized.model.graph
        if node.outputs[0].shape == (1, 5, 6, 1) and node.op_type in ("Add", "Div")
        for value in node.inputs
    ]
    assert {array.shape for array in numbers if array is not None} == {(1, 1, 1, 1)}
