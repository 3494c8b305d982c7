"""Quantized models of other tools become integer-only, with their own scales and weights."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

from qconv import pipeline
from qconv.config import QuantConfig
from qconv.errors import ModelError
from qconv.import_ import import_quantized, is_quantized
from qconv.integer.execution.compare import mismatches
from qconv.integer.saturation import saturating_steps
from qconv.model.load import load
from qconv.pipeline import load_prepared
from qconv.pipeline.quantize import Quantized
from tests.lower.harness import Array, normal, write_model

BODY = """
    c = Conv<pads=[1,1,1,1]>(x, w, b) r = Relu(c) p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(r)
    d = Conv<group=8>(p, v) s = Add(d, d) g = GlobalAveragePool(s) f = Flatten(g) y = Gemm(f, m, n)
"""
WEIGHTS = {
    "w": normal(8, 3, 3, 3),
    "b": normal(8),
    "v": normal(8, 1, 1, 1),
    "m": normal(8, 5),
    "n": normal(5),
}
KEEPS = QuantConfig(target="x86-vnni")  # the target that takes every weight code


class Samples(CalibrationDataReader):  # type: ignore[misc]
    """Eight samples for onnxruntime's own quantizer."""

    def __init__(self) -> None:
        self._left = [{"x": normal(1, 3, 8, 8, seed=seed)} for seed in range(8)]

    def get_next(self) -> dict[str, Array] | None:
        return self._left.pop() if self._left else None


def float_model(folder: Path) -> Path:
    return write_model(folder / "float.onnx", f"g (float[1,3,8,8] x) => (float[1,5] y) {{ {BODY} }}", WEIGHTS)


def quantized_by_onnxruntime(folder: Path, **options: object) -> Path:
    path = folder / "other.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantize_static(str(float_model(folder)), str(path), Samples(), **options)
    return path


def imported(path: Path, config: QuantConfig = KEEPS) -> Quantized:
    return pipeline.quantize(path, pipeline.calibrate(path, config=config), config=config)


def outputs(model: Path, feeds: list[dict[str, Array]], *, optimize: bool = False) -> list[Array]:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    if not optimize:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    return [np.asarray(session.run(None, feed)[0]) for feed in feeds]


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("kind", [QuantType.QInt8, QuantType.QUInt8])
@pytest.mark.parametrize("form", [QuantFormat.QDQ, QuantFormat.QOperator])
def test_a_model_of_onnxruntime_keeps_its_scales_and_its_outputs(
    form: QuantFormat, kind: QuantType, per_channel: bool, tmp_path: Path
) -> None:
    path = quantized_by_onnxruntime(
        tmp_path, quant_format=form, activation_type=kind, weight_type=QuantType.QInt8, per_channel=per_channel
    )
    result = imported(path)
    assert result.audit.integer_only
    loaded = load_prepared(path)
    assert loaded.imported is not None
    line = result.imported[0]
    assert line.startswith("used ")
    weights = [pinned.params.scale for pinned in loaded.imported.pins.weights]
    planned = [params.scale for params in result.plan.tensors.values()]
    assert all(any(np.array_equal(scale, other) for other in planned) for scale in weights)
    result.save(tmp_path / "m.int8.onnx")
    feeds = [{"x": normal(1, 3, 8, 8, seed=seed)} for seed in range(20, 30)]
    (step,) = {float(loaded.imported.pins.activations["y"].scale)} if "y" in loaded.imported.pins.activations else {1.0}
    before, after = outputs(path, feeds), outputs(tmp_path / "m.int8.onnx", feeds, optimize=True)
    differences = np.abs(np.concatenate(before) - np.concatenate(after)) / step
    assert differences.max() < 1.5  # a tie that float32 rounds the other way moves one code
    assert mismatches(result.model, feeds[0]) == []


@pytest.mark.parametrize("form", [QuantFormat.QDQ, QuantFormat.QOperator])
@pytest.mark.parametrize("kind", [QuantType.QInt8, QuantType.QUInt8])
@pytest.mark.parametrize("per_channel", [False, True])
def test_the_default_target_keeps_all_weight_codes_over_copies(
    form: QuantFormat, kind: QuantType, per_channel: bool, tmp_path: Path
) -> None:
    """Those with zero points of their own too, where codes less zero points have 9 bits."""
    path = quantized_by_onnxruntime(
        tmp_path, quant_format=form, activation_type=QuantType.QUInt8, weight_type=kind, per_channel=per_channel
    )
    result, free = imported(path, QuantConfig()), imported(path)
    assert result.audit.integer_only
    assert list(saturating_steps(result.lowering.program)) == []
    told = any("--target x86-vnni needs no copies" in note.text for note in result.lowering.notes)
    assert told or kind == QuantType.QUInt8  # all of which are beyond int8 for either target
    assert result.imported == free.imported
    for name, made in (("safe", result), ("free", free)):
        made.save(tmp_path / f"{name}.onnx")
    feeds = [{"x": normal(1, 3, 8, 8, seed=seed)} for seed in range(4)]
    mine, theirs = (outputs(tmp_path / f"{name}.onnx", feeds) for name in ("safe", "free"))
    assert all(np.array_equal(a, b) for a, b in zip(mine, theirs, strict=True))


def test_a_weight_with_a_zero_point_keeps_codes_of_nine_bits(tmp_path: Path) -> None:
    path = quantized_by_onnxruntime(
        tmp_path, quant_format=QuantFormat.QDQ, activation_type=QuantType.QUInt8, weight_type=QuantType.QUInt8
    )
    model = onnx.load(path)
    zero = next(t for t in model.graph.initializer if t.name == "m_zero_point")
    zero.CopyFrom(numpy_helper.from_array(np.asarray(20, np.uint8), "m_zero_point"))
    onnx.save(model, path)
    result = imported(path)
    assert "its input is read 2 times, which keeps weight codes that are beyond int8 less their zero point" in [
        note.text for note in result.lowering.notes
    ]
    assert mismatches(result.model, {"x": normal(1, 3, 8, 8, seed=3)}) == []
    result.save(tmp_path / "m.int8.onnx")
    feeds = [{"x": normal(1, 3, 8, 8, seed=seed)} for seed in range(20, 30)]
    before, after = outputs(path, feeds), outputs(tmp_path / "m.int8.onnx", feeds, optimize=True)
    assert np.square(np.concatenate(before) - np.concatenate(after)).sum() < 1e-3 * np.square(np.concatenate(before)).sum()


def test_scales_of_constants_and_of_other_signs_are_used(tmp_path: Path) -> None:
    """A Concat of codes with constant ones keeps its scale; a pair of int8 behind one of uint8 says the same."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "u"], ["a"]),
        helper.make_node("DequantizeLinear", ["a", "s", "u"], ["b"]),
        helper.make_node("QuantizeLinear", ["b", "s", "z"], ["c"]),
        helper.make_node("Concat", ["k", "c"], ["d"], axis=0),
        helper.make_node("DequantizeLinear", ["d", "s", "z"], ["y"]),
    ]
    codes = np.arange(-12, 12, dtype=np.int8).reshape(4, 6)
    constants: dict[str, Array] = {"s": STEP, "z": ZERO, "u": np.asarray(131, np.uint8), "k": codes}
    model = quantized_graph(nodes, constants, TensorProto.FLOAT, TensorProto.FLOAT, [4, 6])
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 8
    onnx.save(model, tmp_path / "m.onnx")
    result = imported(tmp_path / "m.onnx", QuantConfig())
    assert result.imported == ("used 2 of 2 scales that were given",)
    result.save(tmp_path / "m.int8.onnx")
    feeds = [{"x": normal(4, 6, seed=seed)} for seed in range(3)]
    before, after = outputs(tmp_path / "m.onnx", feeds), outputs(tmp_path / "m.int8.onnx", feeds)
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_dynamic_model_becomes_static(tmp_path: Path) -> None:
    source = write_model(
        tmp_path / "float.onnx", "g (float[4,12] x) => (float[4,7] y) { y = MatMul(x, w) }", {"w": normal(12, 7)}
    )
    path = tmp_path / "dynamic.onnx"
    quantize_dynamic(str(source), str(path), weight_type=QuantType.QInt8)
    result = imported(path)
    assert result.audit.integer_only
    feeds = [{"x": normal(4, 12, seed=3)}]
    result.save(tmp_path / "m.int8.onnx")
    (before,), (after,) = outputs(source, feeds), outputs(tmp_path / "m.int8.onnx", feeds)
    assert np.square(before - after).sum() < 1e-2 * np.square(before).sum()


def quantized_graph(
    nodes: list[onnx.NodeProto], constants: dict[str, Array], x: int, y: int, shape: list[int]
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", x, shape)],
        [helper.make_tensor_value_info("y", y, shape)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


STEP, ZERO = np.asarray(0.1, np.float32), np.asarray(3, np.int8)


@pytest.mark.parametrize("static", [False, True])
def test_attention_of_codes_is_taken_apart(static: bool, tmp_path: Path) -> None:
    """As onnxruntime's quantizers write it, with a QuantizeLinear or a DynamicQuantizeLinear in front."""
    codes = np.random.default_rng(0).integers(-127, 128, (8, 24)).astype(np.int8)
    constants: dict[str, Array] = {
        "w": codes, "b": normal(24), "s": STEP, "z": np.asarray(131, np.uint8), "sw": np.asarray(0.01, np.float32),
        "zw": np.asarray(0, np.int8),
    }  # fmt: skip
    first = (
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"])
        if static
        else helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s2", "z2"])
    )
    scale, zero = ("s", "z") if static else ("s2", "z2")
    attention = helper.make_node(
        "QAttention", ["q", "w", "b", scale, "sw", "", zero, "zw"], ["y"], domain="com.microsoft", num_heads=2
    )
    model = quantized_graph([first, attention], constants, TensorProto.FLOAT, TensorProto.FLOAT, [2, 5, 8])
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    onnx.save(model, tmp_path / "m.onnx")
    loaded = load(tmp_path / "m.onnx").ir
    assert is_quantized(loaded)
    found = import_quantized(loaded)
    assert len(found.pins.weights) == 1
    assert list(found.pins.activations) == (["x"] if static else [])
    ir.save(loaded, tmp_path / "float.onnx")
    feeds = [{"x": normal(2, 5, 8, seed=seed)} for seed in range(3)]
    before, after = (np.stack(outputs(tmp_path / name, feeds)) for name in ("m.onnx", "float.onnx"))
    assert np.abs(before - after).max() < 0.1 * np.abs(before).max()  # the activation's codes are gone


def test_integer_inputs_and_outputs_stay(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0]),
        helper.make_node("DequantizeLinear", ["t", "s", "z"], ["r"]),
        helper.make_node("Transpose", ["r"], ["u"], perm=[1, 0]),
        helper.make_node("Relu", ["u"], ["v"]),
        helper.make_node("QuantizeLinear", ["v", "s", "z"], ["y"]),
    ]
    model = quantized_graph(nodes, {"s": STEP, "z": ZERO}, TensorProto.INT8, TensorProto.INT8, [4, 6])
    onnx.save(model, tmp_path / "m.onnx")
    result = imported(tmp_path / "m.onnx", QuantConfig())
    result.save(tmp_path / "m.int8.onnx")
    assert result.audit.integer_only
    feeds = [{"x": np.random.default_rng(1).integers(-128, 128, (4, 6)).astype(np.int8)}]
    assert np.array_equal(outputs(tmp_path / "m.onnx", feeds)[0], outputs(tmp_path / "m.int8.onnx", feeds)[0])


def test_pins_follow_a_tensor_to_its_new_name(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("QuantizeLinear", ["r", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    onnx.save(quantized_graph(nodes, {"s": STEP, "z": ZERO}, TensorProto.FLOAT, TensorProto.FLOAT, [4, 6]), tmp_path / "m.onnx")
    loaded = load(tmp_path / "m.onnx")
    found = import_quantized(loaded.ir)
    assert list(found.pins.activations) == ["y"]
    assert [node.op_type for node in loaded.ir.graph] == ["Relu"]


@pytest.mark.parametrize(
    ("kind", "words"),
    [(TensorProto.FLOAT8E4M3FN, "float8e4m3fn"), (None, "which no QuantizeLinear made|computes with codes")],
)
def test_what_has_no_counterpart_is_refused_in_a_sentence(kind: int | None, words: str, tmp_path: Path) -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    if kind is None:
        nodes.insert(1, helper.make_node("BitwiseNot", ["q"], ["p"]))
        nodes[2].input[0] = "p"
    model = quantized_graph(nodes, {"s": STEP, "z": ZERO}, TensorProto.FLOAT, TensorProto.FLOAT, [4, 6])
    if kind is not None:
        model.graph.initializer.remove(model.graph.initializer[1])
        model.graph.initializer.append(helper.make_tensor("z", kind, [], [0.0]))
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(ModelError, match=words):
        import_quantized(load(tmp_path / "m.onnx").ir)


@pytest.mark.parametrize("bits", [8, 16])
def test_pairs_of_com_microsoft_are_those_of_the_standard(bits: int, tmp_path: Path) -> None:
    """Quantizers write them at opsets that have no 16 bits, and where they are told to."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], domain="com.microsoft"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"], domain="com.microsoft"),
        helper.make_node("DequantizeLinear", ["codes", "sw", "zw"], ["w"], domain="com.microsoft", axis=1),
        helper.make_node("MatMul", ["d", "w"], ["y"]),
    ]
    constants: dict[str, Array] = {
        "s": STEP, "z": ZERO if bits == 8 else ZERO.astype(np.int16), "zw": np.zeros(5, np.int8),
        "codes": np.random.default_rng(1).integers(-100, 101, (6, 5)).astype(np.int8), "sw": np.full(5, 0.01, np.float32),
    }  # fmt: skip
    model = quantized_graph(nodes, constants, TensorProto.FLOAT, TensorProto.FLOAT, [4, 6])
    model.graph.output[0].type.tensor_type.ClearField("shape")
    model.opset_import[0].version = 17
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    onnx.save(model, tmp_path / "m.onnx")
    result = imported(tmp_path / "m.onnx")
    assert result.audit.integer_only
    assert result.imported[0].startswith(f"used {2 if bits == 8 else 1} of")
    assert result.imported[1:] == (() if bits == 8 else ("x have 16 bits, and are calibrated for 8",))
    result.save(tmp_path / "m.int8.onnx")
    feeds = [{"x": normal(4, 6, seed=seed)} for seed in range(3)]
    mine, theirs = (np.stack(outputs(tmp_path / name, feeds)) for name in ("m.int8.onnx", "m.onnx"))
    assert np.abs(mine - theirs).max() < 0.05 * np.abs(theirs).max()  # the result has codes here


def test_a_scale_behind_a_reshape_that_another_one_takes_in_is_used(tmp_path: Path) -> None:
    """A product over the last of three axes becomes one over rows, whose Reshape is joined with the one in front of it."""
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Reshape", ["a", "shape"], ["r"]),
        helper.make_node("QuantizeLinear", ["r", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("MatMul", ["d", "w"], ["m"]),
        helper.make_node("Reshape", ["m", "back"], ["y"]),
    ]
    constants: dict[str, Array] = {
        "shape": np.array([2, 2, 6]), "back": np.array([4, 6]), "s": STEP, "z": ZERO, "w": normal(6, 6)
    }  # fmt: skip
    onnx.save(quantized_graph(nodes, constants, TensorProto.FLOAT, TensorProto.FLOAT, [4, 6]), tmp_path / "m.onnx")
    result = imported(tmp_path / "m.onnx")
    assert result.imported[0].startswith("used 1 of 1 scales that were given")


def test_a_constant_that_is_added_keeps_its_scale(tmp_path: Path) -> None:
    """As the grid of a detector does: with a power of two, like those of all other tensors, all sums are proved."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("DequantizeLinear", ["codes", "sc", "z"], ["c"]),
        helper.make_node("Add", ["d", "c"], ["t"]),
        helper.make_node("QuantizeLinear", ["t", "sy", "z"], ["r"]),
        helper.make_node("DequantizeLinear", ["r", "sy", "z"], ["y"]),
    ]
    constants: dict[str, Array] = {
        "s": np.asarray(2.0**-6, np.float32), "sc": np.asarray(2.0**-5, np.float32), "sy": np.asarray(2.0**-4, np.float32),
        "z": np.asarray(0, np.int8), "codes": np.arange(24).reshape(4, 6).astype(np.int8),
    }  # fmt: skip
    onnx.save(quantized_graph(nodes, constants, TensorProto.FLOAT, TensorProto.FLOAT, [4, 6]), tmp_path / "m.onnx")
    result = imported(tmp_path / "m.onnx")
    assert result.imported == ("used 3 of 3 scales that were given",)
    result.save(tmp_path / "m.int8.onnx")
    feeds = [{"x": normal(4, 6, seed=seed)} for seed in range(4)]
    mine, theirs = (np.stack(outputs(tmp_path / name, feeds)) for name in ("m.int8.onnx", "m.onnx"))
    assert all(c.proved == c.scales for c in result.lowering.program.certificates.values())
    assert np.abs(mine - theirs).max() <= 2.0**-4  # ties, which scales that every processor adds alike with are nudged off


def test_what_a_pad_brings_in_among_codes_is_a_code(tmp_path: Path) -> None:
    """A picture of three channels gets a fourth one of zeros, whose code is the zero point; both of our own forms come back."""
    feeds = [{"x": normal(1, 3, 8, 8, seed=seed)} for seed in range(8)]
    own, pairs = tmp_path / "own.onnx", tmp_path / "pairs.onnx"
    pipeline.quantize(float_model(tmp_path), samples={"x": np.concatenate([feed["x"] for feed in feeds])}).save(own)
    pipeline.export(own, "qdq", pairs)
    assert "Pad" in [node.op_type for node in load(own).ir.graph]
    wanted = outputs(own, feeds)
    for number, path in enumerate((own, pairs)):
        imported(path, QuantConfig()).save(tmp_path / f"{number}.onnx")
        found = outputs(tmp_path / f"{number}.onnx", feeds)
        assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))


def test_a_tensor_without_a_scale_is_calibrated_behind_what_codes_cut_off(tmp_path: Path) -> None:
    """A Relu is only in the range of codes here, and the scores behind it have none; without it they are ten times as wide."""
    body = "c = Conv<pads=[1,1,1,1]>(x, w, b) r = Relu(c) p = GlobalAveragePool(r) f = Flatten(p) y = Gemm(f, m)"
    weights = {"w": normal(8, 3, 3, 3), "b": np.full(8, -20.0, np.float32), "m": normal(8, 5)}
    text = f"g (float[1,3,8,8] x) => (float[1,5] y) {{ {body} }}"
    path, codes, pairs = (tmp_path / f"{name}.onnx" for name in ("float", "codes", "pairs"))
    write_model(path, text, weights)
    data = {"x": np.concatenate([normal(1, 3, 8, 8, scale=4.0, seed=seed) for seed in range(8)])}
    pipeline.quantize(path, samples=data, config=QuantConfig(effort="none")).save(codes)
    pipeline.export(codes, "qdq", pairs)
    model = onnx.load(pairs)
    last = model.graph.node[-1]
    assert last.op_type == "DequantizeLinear"
    quantizer = next(node for node in model.graph.node if last.input[0] in node.output)
    maker = next(node for node in model.graph.node if quantizer.input[0] in node.output)
    maker.output[0] = last.output[0]
    for node in (quantizer, last):
        model.graph.node.remove(node)
    onnx.save(model, pairs)
    calibration = pipeline.calibrate(pairs, data)
    feeds = [{"x": row[None]} for row in data["x"]]
    seen = max(float(np.abs(y).max()) for y in outputs(path, feeds))
    (found,) = calibration.tensors.values()
    assert max(-found.lo, found.hi) < 1.1 * seen
