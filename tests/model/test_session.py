from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper, parser

from qconv.errors import ModelError
from qconv.model.load import load
from qconv.model.session import open_session, reason

from .files import external, linear, write

SIDE = 1024  # a weight of 4 MB, which is handed over rather than copied into the message


def wide(folder: Path | None = None) -> onnx.ModelProto:
    """y = relu(x w) b, with w in memory or, given a folder, in a file."""
    text = f"""<ir_version: 10, opset_import: ["" : 21]>
    g (float[1, {SIDE}] x) => (float[1, {SIDE}] y) {{ m = MatMul(x, w)  r = Relu(m)  y = Mul(r, b) }}"""
    proto = parser.parse_model(text)
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((SIDE, SIDE), dtype=np.float32)
    proto.graph.initializer.append(numpy_helper.from_array(np.array(2, np.float32), "b"))
    if folder is None:
        proto.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    else:
        (folder / "w.bin").write_bytes(weight.tobytes())
        proto.graph.initializer.append(external("w", weight, "w.bin"))
    return proto


X = {"x": np.random.default_rng(1).standard_normal((1, SIDE), dtype=np.float32)}


@pytest.mark.parametrize("in_file", [False, True])
def test_a_model_and_its_file_compute_the_same(tmp_path: Path, in_file: bool) -> None:
    path = write(tmp_path, wide(tmp_path if in_file else None))
    model = load(path).ir
    weights = dict(model.graph.initializers)
    wanted = open_session(path, threads=1).run(None, X)[0]
    assert np.array_equal(open_session(model, threads=1).run(None, X)[0], wanted)
    assert all(model.graph.initializers[name] is value and value.const_value is not None for name, value in weights.items())


def test_a_changed_weight_of_an_external_model_is_used(tmp_path: Path) -> None:
    model = load(write(tmp_path, wide(tmp_path))).ir
    model.graph.initializers["w"].const_value = ir.Tensor(np.zeros((SIDE, SIDE), np.float32), name="w")
    assert not open_session(model, threads=1).run(None, X)[0].any()


def test_weights_from_two_folders_are_used(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    models = []
    for folder in folders:
        folder.mkdir()
        models.append(load(write(folder, wide(folder))).ir)
    (folders[1] / "w.bin").write_bytes(np.ones((SIDE, SIDE), np.float32).tobytes())
    first, second = models
    value = ir.Value(name="w2", const_value=second.graph.initializers["w"].const_value)
    first.graph.register_initializer(value)
    first.graph[0].replace_input_with(1, value)
    first.graph.initializers["w"].name = "unused"
    wanted = np.maximum(X["x"].sum(), 0) * 2
    # A sum of 1024 normal numbers in another order: a few ulps of its largest partial sum, which is below 128.
    assert np.allclose(open_session(first, threads=1).run(None, X)[0], wanted, atol=1e-3)


def test_arrays_outlive_the_model() -> None:
    model = ir.from_proto(wide())
    wanted = open_session(model, threads=1).run(None, X)[0]
    session = open_session(model, threads=1)
    del model
    gc.collect()
    others = [np.full((SIDE, SIDE), np.nan, np.float32) for _ in range(4)]
    assert np.array_equal(session.run(None, X)[0], wanted)
    assert len(others) == 4


@pytest.mark.parametrize("from_file", [False, True])
def test_inner_values_replace_the_declared_outputs(tmp_path: Path, from_file: bool) -> None:
    path = write(tmp_path, wide(tmp_path))
    model = load(path).ir
    session = open_session(path if from_file else model, outputs=["r", "m"], threads=1)
    assert [info.name for info in session.get_outputs()] == ["r", "m"]
    relu, product = session.run(None, X)
    assert np.array_equal(relu, np.maximum(product, 0))
    assert [value.name for value in model.graph.outputs] == ["y"]


def test_weights_behind_the_exposed_values_do_no_harm() -> None:
    proto = wide()
    proto.graph.node[2].input[1] = "v"
    proto.graph.initializer.append(numpy_helper.from_array(np.ones((SIDE, SIDE), np.float32), "v"))
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    model = ir.from_proto(proto)
    for optimize in (False, True):
        assert open_session(model, outputs=["m"], threads=1, optimize=optimize).run(None, X)[0].shape == (1, SIDE)


def test_an_unknown_output_is_refused() -> None:
    with pytest.raises(ModelError, match="no value 'nowhere'"):
        open_session(ir.from_proto(linear()), outputs=["nowhere"])


@pytest.mark.parametrize("optimize", [False, True])
def test_optimization_is_a_choice(tmp_path: Path, optimize: bool) -> None:
    text = """<ir_version: 10, opset_import: ["" : 21]> g (float[2] x) => (float[2] y) { a = Identity(x)  y = Relu(a) }"""
    target = tmp_path / "optimized.onnx"
    open_session(ir.from_proto(parser.parse_model(text)), optimize=optimize, optimized_path=target)
    ops = [node.op_type for node in onnx.load(target).graph.node]
    assert ops == (["Relu"] if optimize else ["Identity", "Relu"])


@pytest.mark.parametrize("in_file", [False, True])
def test_the_optimized_model_can_be_run(tmp_path: Path, in_file: bool) -> None:
    model = load(write(tmp_path, wide(tmp_path if in_file else None))).ir
    target = tmp_path / "optimized.onnx"
    wanted = open_session(model, threads=1, optimized_path=target).run(None, X)[0]
    assert np.array_equal(open_session(target, threads=1, optimize=False).run(None, X)[0], wanted)


def test_what_onnxruntime_says_is_told_in_one_line(tmp_path: Path) -> None:
    proto = linear()
    proto.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 4
    with pytest.raises(ModelError, match="onnxruntime cannot run the model: ") as refusal:
        open_session(ir.from_proto(proto))
    assert "\n" not in str(refusal.value)
    assert "ONNXRuntimeError" not in str(refusal.value)
    with pytest.raises(ModelError, match=r"onnxruntime cannot run m\.onnx: "):
        open_session(write(tmp_path, proto))


def test_reason_drops_codes_and_further_lines() -> None:
    assert reason(RuntimeError("[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : No Loop(11) here\nstack")) == "No Loop(11) here"
    assert reason(RuntimeError("[ONNXRuntimeError] : 1 : FAIL : graph.cc:43 Replace Failed to find w.")) == "Failed to find w"
    assert reason(RuntimeError("plain.")) == "plain"
    assert reason(RuntimeError("")) == "RuntimeError"


@pytest.mark.parametrize("content", [b"text", None])
def test_files_that_are_no_models(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "m.onnx"
    if content is not None:
        path.write_bytes(content)
    for outputs in (None, ["y"]):
        with pytest.raises(ModelError, match=r"m\.onnx"):
            open_session(path, outputs=outputs)
