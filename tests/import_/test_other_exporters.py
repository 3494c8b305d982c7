"""The forms in which other tools write quantized graphs: Brevitas, PyTorch, AIMET, and what they compute at run time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from qconv import pipeline
from qconv.cli.main import run
from qconv.config import QuantConfig
from qconv.errors import ArtifactError, ModelError, UsageError
from qconv.import_ import read_encodings
from qconv.model.load import load
from qconv.pipeline.quantize import Quantized
from qconv.verify.measure.sides import Side
from tests.lower.harness import normal, write_model

KEEPS = QuantConfig(target="x86-vnni")
QONNX = "qonnx.custom_op.general"
F32 = TensorProto.FLOAT


def model_of(
    nodes: list[onnx.NodeProto], constants: Mapping[str, Any], path: Path, x: tuple[int, ...] = (1, 3, 6, 6), y: str = "y"
) -> Path:
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", F32, x)], [helper.make_tensor_value_info(y, F32, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(QONNX, 2)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def quantized(path: Path) -> Quantized:
    return pipeline.quantize(path, pipeline.calibrate(path, config=KEEPS), config=KEEPS)


def check_all_used(result: Quantized, count: int) -> None:
    assert result.audit.integer_only
    assert result.imported[0] == f"used {count} of {count} scales that were given"


def largest_difference(path: Path, result: Quantized, step: float, folder: Path) -> float:
    """Between the outputs of the original and of the integer model, in codes."""
    result.save(folder / "m.int8.onnx")
    shape = (1, 3, 6, 6)
    feeds = [{"x": normal(*shape, seed=seed)} for seed in range(20)]
    before, after = (np.stack([side.run(feed)[0] for feed in feeds]) for side in (Side(path), Side(folder / "m.int8.onnx")))
    return float(np.abs(before - after).max()) / step


def qonnx_layers(**changes: Any) -> tuple[list[onnx.NodeProto], dict[str, Any]]:
    """A convolution with a batch norm, and a dense layer; weights of 4 bits, activations of 4, the result of 8."""
    quant: dict[str, Any] = {"signed": 1, "narrow": 0, "rounding_mode": "ROUND"} | changes
    nodes = [
        helper.make_node("Quant", ["x", "sx", "z", "b8"], ["xq"], domain=QONNX, **quant),
        helper.make_node("Quant", ["w", "sw", "z", "b4"], ["wq"], domain=QONNX, signed=1, narrow=1, rounding_mode="ROUND"),
        helper.make_node("Conv", ["xq", "wq"], ["c"]),
        helper.make_node("BatchNormalization", ["c", "gamma", "beta", "mean", "var"], ["n"]),
        helper.make_node("Relu", ["n"], ["r"]),
        helper.make_node("Quant", ["r", "sr", "z", "b4"], ["rq"], domain=QONNX, signed=0, narrow=0, rounding_mode="ROUND"),
        helper.make_node("Flatten", ["rq"], ["f"]),
        helper.make_node("Quant", ["m", "sm", "z", "b4"], ["mq"], domain=QONNX, signed=1, narrow=0, rounding_mode="FLOOR"),
        helper.make_node("MatMul", ["f", "mq"], ["d"]),
        helper.make_node("Quant", ["d", "sd", "z", "b8"], ["y"], domain=QONNX, signed=1, narrow=0, rounding_mode="ROUND"),
    ]
    constants = {
        "w": normal(4, 3, 3, 3), "m": normal(64, 5), "sx": np.float32(0.05), "sr": np.float32(0.5), "sd": np.float32(0.25),
        "sw": np.full((4, 1, 1, 1), 0.25, np.float32) * np.array([1, 2, 1, 0.5], np.float32).reshape(4, 1, 1, 1),
        "sm": np.float32(0.25), "z": np.float32(0), "b4": np.float32(4), "b8": np.float32(8), "gamma": normal(4),
        "beta": normal(4, seed=3), "mean": normal(4, seed=4), "var": np.abs(normal(4, seed=5)) + 1,
    }  # fmt: skip
    return nodes, constants


def test_a_model_of_qonnx(tmp_path: Path) -> None:
    path = model_of(*qonnx_layers(), tmp_path / "m.onnx")
    result = quantized(path)
    check_all_used(result, 5)
    assert largest_difference(path, result, 0.25, tmp_path) <= 2.0  # biases of batch norms are rounded to S_x S_w
    assert run(["verify", str(path), str(tmp_path / "m.int8.onnx"), "--samples", "4"]) == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rounding_mode": "FLOOR"}, "rounds by FLOOR"),
        ({"op_type": "FloatQuant"}, "FloatQuant of .* has no counterpart"),
        ({"z": np.float32(0.5)}, "one whole zero point"),
        ({"b8": np.float32(12)}, "12 bits, and integer kernels take 8"),
        ({"sx": None}, "computes its parameters at run time"),
    ],
)
def test_what_qonnx_has_and_integer_kernels_do_not(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    nodes, constants = qonnx_layers(**{key: value for key, value in changes.items() if key == "rounding_mode"})
    nodes[0].op_type = changes.get("op_type", "Quant")
    for key in ("z", "b8", "sx"):
        constants[key] = changes.get(key, constants[key])
    path = model_of(nodes, {key: value for key, value in constants.items() if value is not None}, tmp_path / "m.onnx")
    with pytest.raises(ModelError, match=words):
        load(path)


def test_bipolar_weights_and_activations(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Quant", ["x", "sx", "z", "b8"], ["xq"], domain=QONNX, signed=1, narrow=0, rounding_mode="ROUND"),
        helper.make_node("BipolarQuant", ["w", "one"], ["wq"], domain=QONNX),
        helper.make_node("Conv", ["xq", "wq"], ["c"]),
        helper.make_node("BipolarQuant", ["c", "one"], ["s"], domain=QONNX),
        helper.make_node("Flatten", ["s"], ["f"]),
        helper.make_node("BipolarQuant", ["m", "one"], ["mq"], domain=QONNX),
        helper.make_node("MatMul", ["f", "mq"], ["y"]),
    ]
    constants: dict[str, Any] = {
        "w": normal(4, 3, 3, 3),
        "m": normal(64, 5),
        "sx": np.float32(0.0625),
        "z": np.float32(0),
        "b8": np.float32(8),
        "one": np.float32(1),
    }  # fmt: skip  (sums of sixteenths are exact in float32, and so are their signs)
    path = model_of(nodes, constants, tmp_path / "m.onnx")
    result = quantized(path)
    assert result.audit.integer_only
    step = float(result.plan.tensors["y"].scale)
    assert largest_difference(path, result, step, tmp_path) <= 0.51  # no sign turns; the output is rounded to 8 bits


@pytest.mark.parametrize("rounding", ["FLOOR", "CEIL", "ROUND"])
@pytest.mark.parametrize("version", [1, 2])
def test_sums_of_an_average_pool_are_truncated(version: int, rounding: str, tmp_path: Path) -> None:
    """Version 1 keeps the scale of the sums, a quarter of that of the codes; version 2 names one of its own."""
    step = np.float32(0.05)
    scales = {"quarter": step / 4, "sx": step, "z": np.float32(0), "b8": np.float32(8), "b10": np.float32(10)}
    operands = ["quarter", "z", "b10", "b8"] if version == 1 else ["quarter", "z", "b10", "sx", "z", "b8"]
    nodes = [
        helper.make_node("Quant", ["x", "sx", "z", "b8"], ["xq"], domain=QONNX, signed=1, narrow=0, rounding_mode="ROUND"),
        helper.make_node("AveragePool", ["xq"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Trunc", ["p", *operands], ["y"], domain=QONNX, rounding_mode=rounding),
    ]
    path = model_of(nodes, scales, tmp_path / "m.onnx")
    result = quantized(path)
    assert result.audit.integer_only
    result.save(tmp_path / "m.int8.onnx")
    for seed in range(5):
        x = normal(1, 3, 6, 6, seed=seed)
        (after,) = Side(tmp_path / "m.int8.onnx").run({"x": x})
        sums = np.clip(np.rint(x / step), -128, 127).reshape(1, 3, 3, 2, 3, 2).sum((3, 5))
        codes = {"FLOOR": np.floor, "CEIL": np.ceil, "ROUND": np.rint}[rounding](sums / 4)
        assert np.array_equal(np.rint(after / (step / 4 if version == 1 else step)), codes)


def pairs(x: str, name: str, scale: str, zero: str, *clip: str, axis: int | None = None) -> list[onnx.NodeProto]:
    """QuantizeLinear, a Clip if there are bounds, DequantizeLinear."""
    along: dict[str, Any] = {} if axis is None else {"axis": axis}
    nodes = [helper.make_node("QuantizeLinear", [x, scale, zero], [f"{name}_q"], **along)]
    if clip:
        nodes.append(helper.make_node("Clip", [f"{name}_q", *clip], [f"{name}_k"]))
    return [*nodes, helper.make_node("DequantizeLinear", [nodes[-1].output[0], scale, zero], [name], **along)]


CONSTANTS: dict[str, Any] = {
    "w": normal(4, 3, 3, 3), "s": np.float32(0.25), "z": np.uint8(0), "zx": np.uint8(4), "low": np.uint8(0), "high": np.uint8(15),
    "ws": np.asarray([0.1, 0.2, 0.3, 0.4], np.float32), "wz": np.zeros(4, np.int8), "wlow": np.int8(-7), "whigh": np.int8(7),
}  # fmt: skip


def test_weights_that_the_graph_quantizes_by_channel_and_clips(tmp_path: Path) -> None:
    nodes = [
        *pairs("x", "xr", "s", "zx", "low", "high"), *pairs("w", "wr", "ws", "wz", "wlow", "whigh", axis=0),
        helper.make_node("Conv", ["xr", "wr"], ["c"]), *pairs("c", "y", "s", "zx", "", "high"),
    ]  # fmt: skip
    path = model_of(nodes, CONSTANTS, tmp_path / "m.onnx")
    result = quantized(path)
    check_all_used(result, 3)
    assert {params.int_type.bits for name, params in result.plan.tensors.items() if params.axis is None} == {4}
    assert largest_difference(path, result, 0.25, tmp_path) <= 1.0


def test_parameters_that_come_through_other_operators(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Identity", ["z"], ["z1"]),
        helper.make_node("Constant", [], ["two"], value=numpy_helper.from_array(np.asarray(2, np.float32))),
        helper.make_node("Mul", ["s", "two"], ["s2"]),
        helper.make_node("QuantizeLinear", ["x", "s2", "z1"], ["q"]),
        helper.make_node("Cast", ["q"], ["q32"], to=TensorProto.INT32),
        helper.make_node("DequantizeLinear", ["q32", "s2"], ["y"]),
    ]
    path = model_of(nodes, CONSTANTS, tmp_path / "m.onnx")
    result = quantized(path)
    check_all_used(result, 1)
    assert largest_difference(path, result, 0.5, tmp_path) == 0.0


def test_a_choice_between_constants(tmp_path: Path) -> None:
    path = write_model(
        tmp_path / "m.onnx",
        "g (float[1,3,6,6] x) => (float[1,3,6,6] y) { c = GreaterOrEqual(x, zero) y = Where(c, up, down) }",
        {"zero": np.zeros((), np.float32), "up": np.ones((), np.float32), "down": -np.ones((), np.float32)},
    )
    result = quantized(path)
    assert result.audit.integer_only
    assert (float(result.plan.tensors["y"].scale), int(result.plan.tensors["y"].zero_point)) == (float(np.float32(1 / 127)), 128)
    assert largest_difference(path, result, 2.0, tmp_path) <= 1.0  # a sign next to zero may turn


ACTIVATIONS = {"x": 0.1, "c": 0.5}
WEIGHT = normal(4, 3, 3, 3)
STEPS = (np.abs(WEIGHT).reshape(4, -1).max(1) / 127).tolist()


def aimet(version: str) -> dict[str, Any]:
    """Unsigned activations whose zero point is 20, and a weight by channel."""
    if version == "2":
        entries: list[dict[str, Any]] = [
            {"name": name, "output_dtype": "uint8", "y_scale": scale, "y_zero_point": 20} for name, scale in ACTIVATIONS.items()
        ]
        return {"version": "2.0.0", "encodings": [*entries, {"name": "w", "output_dtype": "int8", "y_scale": STEPS, "axis": 0}]}
    if version == "1":
        return {
            "activation_encodings": [
                {"name": name, "dtype": "INT", "bw": 8, "scale": [scale], "offset": [-20]} for name, scale in ACTIVATIONS.items()
            ],
            "param_encodings": [{"name": "w", "dtype": "INT", "bw": 8, "scale": STEPS, "offset": [-128] * 4}],
        }
    if version == "0":
        entry = {"bitwidth": 8, "dtype": "int", "offset": -20}
        return {
            "activation_encodings": {name: [entry | {"scale": scale}] for name, scale in ACTIVATIONS.items()},
            "param_encodings": {"w": [{"bitwidth": 8, "dtype": "int", "offset": -128, "scale": step} for step in STEPS]},
        }
    tensors: dict[str, Any] = {name: {"scale": scale, "zero_point": 20} for name, scale in ACTIVATIONS.items()}
    return {"tensors": tensors | {"w": {"scale": STEPS, "axis": 0}}}


def float_model(folder: Path) -> Path:
    return write_model(folder / "m.onnx", "g (float[1,3,6,6] x) => (float[1,4,4,4] c) { c = Conv(x, w) }", {"w": WEIGHT})


@pytest.mark.parametrize("form", ["0", "1", "2", "own"])
def test_encodings(form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = float_model(tmp_path)
    (tmp_path / "e.json").write_text(json.dumps(aimet(form)))
    pins = read_encodings(tmp_path / "e.json", load(path).ir.graph)
    assert {name: (float(p.scale), int(p.zero_point)) for name, p in pins.activations.items()} == {
        name: (float(np.float32(scale)), 20) for name, scale in ACTIVATIONS.items()
    }
    assert np.array_equal(pins.weights[0].params.scale, np.asarray(STEPS, np.float32))
    target = ["--target", "x86-vnni", "-o", str(tmp_path / "o.onnx")]
    assert run(["quantize", str(path), "--encodings", str(tmp_path / "e.json"), *target]) == 0
    assert "import: used 3 of 3 scales that were given" in capsys.readouterr().out


def test_encodings_by_range(tmp_path: Path) -> None:
    (tmp_path / "e.json").write_text(json.dumps({"tensors": {"x": {"min": -1.0, "max": 2.0, "bits": 4}}}))
    (params,) = read_encodings(tmp_path / "e.json", load(float_model(tmp_path)).ir.graph).activations.values()
    assert (float(params.scale), int(params.zero_point), params.int_type.bits) == (float(np.float32(0.2)), 5, 4)


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("{", UsageError, "cannot be read"),
        ("[]", ArtifactError, "no JSON object"),
        ('{"tensors": {"x": {"max": 1}}}', ArtifactError, "entry of an unknown form"),
        ('{"tensors": {"x": {"scale": -1.0}}}', ArtifactError, "tensor x: a scale is positive"),
        ('{"tensors": {"w": {"scale": 1.0, "zero_point": 3, "signed": true}}}', ArtifactError, "make it symmetric"),
        ('{"format": "qconv-plan-3", "tensors": {"y": {"scale": 1}}}', ArtifactError, "give it with --plan"),
        ('{"format": "qconv-table-1"}', ArtifactError, "a table file of qconv"),
        ("{}", ArtifactError, "name no tensor of the model"),
        ('{"tensors": {"another": {"min": -1, "max": 1}}}', ArtifactError, "name no tensor of the model"),
    ],
)
def test_encodings_that_make_no_sense(text: str, error: type[Exception], words: str, tmp_path: Path) -> None:
    (tmp_path / "e.json").write_text(text)
    with pytest.raises(error, match=words):
        read_encodings(tmp_path / "e.json", load(float_model(tmp_path)).ir.graph)
