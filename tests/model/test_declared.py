"""Shapes that a model declares are believed until a run contradicts them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from qconv import pipeline
from qconv.errors import ModelError
from qconv.model.declared import contradicts
from qconv.model.load import load
from tests.lower.harness import Given, normal

TAKEN = {"m": np.asarray([True, False, True, True, True, False, True, False])}


def declared(folder: Path, tensor: str, shape: list[int | str]) -> Path:
    """A model of a tensor whose size only a run tells, with what it declares about one of its tensors."""
    graph = onnx.parser.parse_graph("g (float[A,8] x) => (float y) { c = Compress<axis=1>(x, m) r = Relu(c) y = Sigmoid(r) }")
    graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in TAKEN.items())
    graph.output[0].type.tensor_type.ClearField("shape")
    info = onnx.helper.make_tensor_value_info(tensor, onnx.TensorProto.FLOAT, shape)
    if tensor == "y":
        graph.output[0].CopyFrom(info)
    else:
        graph.value_info.append(info)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10)
    onnx.save(model, folder / "m.onnx")
    return folder / "m.onnx"


@pytest.mark.parametrize(
    ("tensor", "shape"), [("r", [3, 5]), ("r", [1, 1_000_000_000]), ("y", [1, 2]), ("y", [1, 4]), ("c", [0, 5])]
)
def test_a_run_that_contradicts_a_declared_size_is_told_of(tmp_path: Path, tensor: str, shape: list[int | str]) -> None:
    loaded = pipeline.load_prepared(declared(tmp_path, tensor, shape))
    feeds = [{"x": normal(2, 8, seed=seed)} for seed in range(3)]
    with pytest.raises(ModelError, match=f"declares tensor {tensor} as .* for sample 0 it is .*take that declaration out"):
        pipeline.calibrate(loaded, Given(feeds))


@pytest.mark.parametrize("shape", [[], ["a", "b", "c"]])
def test_a_declared_rank_is_not_believed_where_another_is_known(tmp_path: Path, shape: list[int | str]) -> None:
    loaded = pipeline.load_prepared(declared(tmp_path, "r", shape))
    assert pipeline.calibrate(loaded, Given([{"x": normal(2, 8, seed=seed)} for seed in range(3)])).samples == 3


def test_what_inference_does_not_find_is_believed(tmp_path: Path) -> None:
    loaded = load(declared(tmp_path, "y", ["A", 5]))
    assert {name: list(shape)[1] for name, shape in loaded.declared.items()} == {"y": 5}


def test_a_long_vector_that_a_few_bytes_declare_is_not_followed(tmp_path: Path) -> None:
    text = "g (float[1000000000] x) => (float[1000000000] y) { a = Mul(x, x) y = Add(a, x) }"
    model = onnx.helper.make_model(onnx.parser.parse_graph(text), opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10)
    onnx.save(model, tmp_path / "m.onnx")
    assert pipeline.load_prepared(tmp_path / "m.onnx").inputs[0].shape == (1_000_000_000,)


def test_an_output_that_is_an_input_keeps_its_shape(tmp_path: Path) -> None:
    text = "g (float[n,8] x) => (float[n,8] y, float[n,8] x) { y = Relu(x) }"
    model = onnx.helper.make_model(onnx.parser.parse_graph(text), opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10)
    onnx.save(model, tmp_path / "m.onnx")
    loaded = pipeline.load_prepared(tmp_path / "m.onnx")
    assert loaded.inputs[0].shape == (None, 8)
    assert pipeline.calibrate(loaded, Given([{"x": normal(2, 8, seed=seed)} for seed in range(3)])).samples == 3


@pytest.mark.parametrize(
    ("shape", "found", "wrong"),
    [
        (["N", 4], (2, 4), False), (["N", 4], (2, 5), True), (["N", "P", "Q"], (8, 8), False), ([1, "P"], (3,), False),
        ([2, "P"], (3,), True), ([4], (), True), ([], (4,), True), (["N"] * 40, (5,) * 20, False), (["N"], (3, 3), True),
    ],
)  # fmt: skip
def test_axes_of_free_size_may_be_missing(shape: list[int | str], found: tuple[int, ...], wrong: bool) -> None:
    assert contradicts(ir.Shape(shape), found) is wrong
