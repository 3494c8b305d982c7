"""Ops whose meaning the version converter of onnx does not keep, and versions that only add types: every opset, every form."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from qconv.model.load import load

from .files import assert_same, write

NEWEST = 26  # what all supported versions of onnxruntime load
PICTURE = "float[1, 2, 5, 6] x"


def check(folder: Path, opset: int, inputs: str, body: str) -> list[str]:
    """The op types at opset 21, whose outputs are those of onnxruntime on the file."""
    text = f"""<ir_version: 8, opset_import: ["" : {opset}]> g ({inputs}) => (float y) {{ {body} }}"""
    proto = onnx.parser.parse_model(text)
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    path = write(folder, proto)
    model = load(path).ir
    assert_same(path, model)
    return [node.op_type for node in model.graph]


@pytest.mark.parametrize("opset", range(7, 16))
@pytest.mark.parametrize("op", ["Hardmax", "Softmax", "LogSoftmax"])
@pytest.mark.parametrize("axis", ["", " <axis = 0>", " <axis = 2>"])
def test_rows_of_several_axes(tmp_path: Path, opset: int, op: str, axis: str) -> None:
    check(tmp_path, opset, "float[2, 3, 4] x", f"y = {op}{axis} (x)")


@pytest.mark.parametrize("mode", ["linear", "nearest"])
@pytest.mark.parametrize("scales", ["1, 1, 2, 2", "1, 1, 3, 1", "1, 1, 2, 1.5"])
@pytest.mark.parametrize(("opset", "op"), [(7, "attribute"), (9, "Upsample"), (10, "Resize")])
def test_sizes_before_opset_11(tmp_path: Path, opset: int, op: str, mode: str, scales: str) -> None:
    if op == "attribute":
        numbers = ", ".join(str(float(scale)) for scale in scales.split(", "))
        body = f'y = Upsample <mode = "{mode}", scales = [{numbers}]> (x)'
    else:
        body = f's = Constant <value = float[4] {{{scales}}}> () y = {op} <mode = "{mode}"> (x, s)'
    check(tmp_path, opset, PICTURE, body)


@pytest.mark.parametrize("mode", ["linear", "nearest"])
@pytest.mark.parametrize("scales", ["1, 1, 0.5, 0.5", "1, 1, 0.4, 1"])
def test_smaller_sizes_before_opset_11(tmp_path: Path, mode: str, scales: str) -> None:
    check(tmp_path, 10, PICTURE, f's = Constant <value = float[4] {{{scales}}}> () y = Resize <mode = "{mode}"> (x, s)')


@pytest.mark.parametrize("opset", range(22, NEWEST + 1))
@pytest.mark.parametrize(
    "op",
    [
        "GlobalMaxPool",
        "GlobalAveragePool",
        "Elu",
        "Softplus",
        "HardSwish",
        "Mish",
        "InstanceNormalization",
        "Round",
        "ThresholdedRelu",
    ],
)
def test_newer_versions_that_only_add_types(tmp_path: Path, opset: int, op: str) -> None:
    extra = ", s, b" if op == "InstanceNormalization" else ""
    inputs = PICTURE + (", float[2] s, float[2] b" if extra else "")
    assert check(tmp_path, opset, inputs, f"y = {op}(x{extra})") == [op]


def test_an_image_scaler_of_early_onnx(tmp_path: Path) -> None:
    found = check(tmp_path, 8, PICTURE, "t = ImageScaler <scale = 0.5, bias = [1.0, -2.0]> (x) y = Relu(t)")
    assert found == ["Mul", "Add", "Relu"]
