"""Opsets 6 to 26 come to opset 21 with their meaning kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper

from qconv.errors import ModelError
from qconv.model.load import load
from qconv.model.opset import to_working_opset

from .files import assert_same, linear, write

NETWORK = """<ir_version: {ir}, opset_import: ["" : {opset}]>
g (float[1, 3, 8, 8] x) => (float[1, 36] y)
<float[4, 3, 3, 3] w, float[4] scale = {{1, 2, 3, 4}}, float[4] shift = {{0, 1, 0, 1}}, float[4] mean = {{0, 1, 2, 3}},
 float[4] variance = {{1, 2, 1, 2}}>
{{ a = Conv <kernel_shape = [3, 3]> (x, w)
   b = BatchNormalization (a, scale, shift, mean, variance)
   c = Relu(b)
   d = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (c)
   e = Flatten(d)
   y = Softmax(e) }}"""


@pytest.mark.parametrize("opset", range(7, 27))
def test_a_network_of_any_opset_computes_the_same(tmp_path: Path, opset: int) -> None:
    proto = onnx.parser.parse_model(NETWORK.format(opset=opset, ir=min(opset, 10) if opset > 8 else 4))
    weights = np.random.default_rng(0).standard_normal((4, 3, 3, 3), dtype=np.float32)
    proto.graph.initializer.append(numpy_helper.from_array(weights, "w"))
    path = write(tmp_path, proto)
    model = load(path).ir
    assert (model.opset_imports[""], model.ir_version) == (21, 10)
    assert_same(path, model)


CHANGED = {
    "Softmax's axis meant flattening before 13": (11, "float[2, 3, 4] x", "y = Softmax(x)"),
    "Squeeze's axes were an attribute before 13": (11, "float[2, 1, 3] x", "y = Squeeze <axes = [1]> (x)"),
    "Unsqueeze's axes": (11, "float[2, 3] x", "y = Unsqueeze <axes = [0, 3]> (x)"),
    "ReduceSum's axes": (11, "float[2, 3] x", "y = ReduceSum <axes = [1], keepdims = 0> (x)"),
    "ReduceMean's axes were one before 18": (13, "float[2, 3] x", "y = ReduceMean <axes = [1], keepdims = 0> (x)"),
    "Split's sizes": (11, "float[2, 4] x", "y, z = Split <axis = 1, split = [1, 3]> (x)"),
    "Clip's bounds were attributes before 11": (7, "float[2, 4] x", "y = Clip <min = -0.5, max = 0.5> (x)"),
    "Pad's pads": (9, "float[2, 4] x", "y = Pad <pads = [0, 1, 0, 2], value = 1.5> (x)"),
    "Slice's bounds": (9, "float[2, 4] x", "y = Slice <axes = [1], starts = [1], ends = [3]> (x)"),
    "Upsample became Resize": (7, "float[1, 1, 2, 2] x", 'y = Upsample <mode = "nearest", scales = [1.0, 1.0, 2.0, 2.0]> (x)'),
    "Dropout's ratio": (7, "float[2, 4] x", "y = Dropout <ratio = 0.5> (x)"),
    "GridSample's modes were renamed in 20": (
        16,
        "float[1, 1, 4, 4] x, float[1, 2, 2, 2] p",
        'y = GridSample <mode = "bilinear"> (x, p)',
    ),
    "GroupNormalization scaled groups, not channels, before 21": (
        18,
        "float[1, 4, 3] x, float[2] s, float[2] b",
        "y = GroupNormalization <num_groups = 2> (x, s, b)",
    ),
    "DFT's axis was an attribute before 20": (17, "float[1, 5, 4, 1] x", "y = DFT <axis = 2> (x)"),
    "DFT's axis was 1 unless given": (17, "float[1, 5, 4, 1] x", "y = DFT(x)"),
    "TopK's k": (9, "float[2, 4] x", "y, i = TopK <axis = 1, k = 2> (x)"),
    "Resize gained inputs in 11": (
        10,
        "float[1, 1, 2, 2] x",
        's = Constant <value = float[4] {1, 1, 2, 2}> ()  y = Resize <mode = "nearest"> (x, s)',
    ),
}


@pytest.mark.parametrize("case", CHANGED)
def test_changed_ops_keep_their_meaning(tmp_path: Path, case: str) -> None:
    opset, inputs, body = CHANGED[case]
    outputs = "float[] y" if "Reduce" not in body else "float[M] y"
    text = f"""<ir_version: 8, opset_import: ["" : {opset}]> g ({inputs}) => ({outputs}) {{ {body} }}"""
    proto = onnx.parser.parse_model(text)
    for info in proto.graph.output:
        info.type.tensor_type.ClearField("shape")
    for node in proto.graph.node:
        node.name = f"my {node.op_type}"
    path = write(tmp_path, proto)
    model = load(path).ir
    assert_same(path, model)
    assert {node.name for node in proto.graph.node if node.op_type != "Constant"} <= {node.name for node in model.graph}


def test_a_group_normalization_of_unknown_channels_is_refused() -> None:
    text = """<ir_version: 8, opset_import: ["" : 18]>
    g (float[1, C, 3] x, float[2] s, float[2] b) => (float[1, C, 3] y) { y = GroupNormalization <num_groups = 2> (x, s, b) }"""
    proto = onnx.parser.parse_model(text)
    proto.graph.node[0].name = "norm"
    with pytest.raises(ModelError, match="node 'norm' is a GroupNormalization of unknown channels"):
        to_working_opset(ir.from_proto(proto))


def test_ops_in_subgraphs_are_converted_too(tmp_path: Path) -> None:
    text = """<ir_version: 7, opset_import: ["" : 11]>
    g (bool c, float[2, 1, 3] x) => (float[2, 3] y) {
      y = If (c) <
        then_branch = t () => (float[2, 3] a) { a = Squeeze <axes = [1]> (x) },
        else_branch = e () => (float[2, 3] b) { s = Softmax(x)  b = Squeeze <axes = [1]> (s) }> }"""
    path = write(tmp_path, text)
    assert_same(path, load(path).ir)


NEWER = {
    "Swish, whose factor has a default": (24, "float[2, 4] x", "y", "y = Swish(x)"),
    "RMSNormalization of free sizes": (23, "float[M, N] x", "y", "y = RMSNormalization(x, x)"),
    "Attention": (23, "float[1, 2, 3, 4] x", "y", "y = Attention <is_causal = 1> (x, x, x)"),
    "Attention of free sizes": (23, "float[A, B, 3, 4] x", "y", "y = Attention <is_causal = 1> (x, x, x)"),
    "Attention whose mask is left out": (24, "float[1, 2, 3, 4] x", "ykv", 'y, k, v = Attention(x, x, x, "", x, x)'),
    "two of a kind": (24, "float[2, 4] x", "y", "z = Swish <alpha = 2.0> (x) y = Swish(z)"),
    "CausalConvWithState": (27, "float[1, 2, 3] x, float[2, 1, 2] w", "yk", "y, k = CausalConvWithState(x, w)"),
}


@pytest.mark.parametrize("case", NEWER)
def test_ops_that_opset_21_lacks_are_written_out(tmp_path: Path, case: str) -> None:
    opset, inputs, outputs_of, body = NEWER[case]
    outputs = ", ".join(f"float[] {output}" for output in outputs_of)
    text = f"""<ir_version: 10, opset_import: ["" : {opset}]> g ({inputs}) => ({outputs}) {{ {body} }}"""
    proto = onnx.parser.parse_model(text)
    for info in proto.graph.output:
        info.type.tensor_type.ClearField("shape")
    path = write(tmp_path, proto)
    assert_same(path, load(path).ir)


def test_ops_that_opset_21_lacks_and_onnx_has_no_function_for_are_refused_by_name() -> None:
    text = """<ir_version: 10, opset_import: ["" : 26]> g (float[4] x, int64 a) => (float[4] y) { y = CumProd(x, a) }"""
    proto = onnx.parser.parse_model(text)
    proto.graph.node[0].name = "last"
    with pytest.raises(ModelError, match="opset 26, and CumProd has no equivalent at opset 21") as refusal:
        to_working_opset(ir.from_proto(proto))
    assert "\n" not in str(refusal.value)


def test_large_weights_do_not_pass_through_the_converter(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    convert = onnx.version_converter.convert_version

    def measure(proto: onnx.ModelProto, target: int) -> onnx.ModelProto:
        sizes.append(proto.ByteSize())
        return convert(proto, target)

    monkeypatch.setattr(onnx.version_converter, "convert_version", measure)
    proto = linear(13)
    proto.graph.initializer.append(numpy_helper.from_array(np.ones(1 << 20, np.float32), "big"))
    converted = to_working_opset(ir.from_proto(proto))
    assert sizes and sizes[0] < 10_000
    assert sorted(converted.graph.initializers) == ["big", "w"]
    assert [value.name for value in converted.graph.inputs] == ["x"]


@pytest.mark.parametrize("opset", [10, 13, 16, 17, 20])
@pytest.mark.parametrize("norm", ["LayerNormalization", "SimplifiedLayerNormalization"])
def test_norms_that_onnxruntimes_optimizer_wrote_are_of_any_opset(tmp_path: Path, norm: str, opset: int) -> None:
    text = f"""<ir_version: 8, opset_import: ["" : {opset}]>
    g (float[2, 4] x) => (float[2, 4] y) <float[4] s = {{1, 2, 3, 4}}> {{ r = Relu(x) y = {norm} <axis = -1> (r, s) }}"""
    path = write(tmp_path, text)
    model = load(path).ir
    assert [node.op_type for node in model.graph] == ["Relu", norm]
    assert "onnxruntime.norms" not in model.opset_imports
    assert_same(path, model)
