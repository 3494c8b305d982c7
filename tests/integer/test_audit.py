"""The audit: which nodes are float, in our graphs and in those that onnxruntime's optimizer writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from qconv.errors import ModelError
from qconv.integer.language.audit import audit
from qconv.model.session import open_session
from tests.integer.graphs import ISLAND, QUANTIZED, graph

HEADER = '<ir_version: 10, opset_import: ["" : 21, "com.microsoft" : 1]>\n'
QDQ = (
    HEADER
    + """net (float[1, 16, 16, 16] x) => (float[1, 16, 14, 14] y)
<float xs = {0.5}, uint8 xz = {128}, float ws = {0.25}, int8 wz = {0}, float ys = {16.0}, uint8 yz = {100},
 int64[4] shape = {16, 16, 3, 3}, int64[4] perm = {0, 2, 3, 1}, int64[4] kernel = {1, 1, 3, 3}>
{
  [quantize] x_quantized = QuantizeLinear (x, xs, xz)
  [dequantize_x] x_real = DequantizeLinear (x_quantized, xs, xz)
  [dequantize_w] w_real = DequantizeLinear (w, ws, wz)
  [conv] c = Conv (x_real, w_real)
  [quantize_y] y_quantized = QuantizeLinear (c, ys, yz)
  [dequantize_y] y = DequantizeLinear (y_quantized, ys, yz)
}
"""
)


def qdq_text() -> str:
    """The QDQ convolution with its weight of 16 x 16 x 3 x 3 ones written out."""
    weight = f"int8[16, 16, 3, 3] w = {{{', '.join(['1'] * 16 * 16 * 9)}}}"
    return QDQ.replace("int64[4] shape = {16, 16, 3, 3}, int64[4] perm = {0, 2, 3, 1}, int64[4] kernel = {1, 1, 3, 3}", weight)


def names(text: str) -> list[str]:
    """The float nodes of a graph."""
    return [node.name for node in audit(graph(text)).float_nodes]


def test_an_integer_graph() -> None:
    found = audit(graph(QUANTIZED))
    assert found.integer_only
    assert (found.quantize, found.dequantize) == (1, 1)
    assert found.integer == {"QLinearConv": 1, "Clip": 1, "QLinearAdd": 1}
    assert found.integer_nodes == 3


def test_an_island_is_float_with_its_borders() -> None:
    found = audit(graph(ISLAND))
    assert not found.integer_only
    assert [(node.name, node.op_type, node.reason) for node in found.float_nodes] == [
        ("leave", "DequantizeLinear", "writes float tensor 'c'"),
        ("softplus", "Softplus", "reads float tensor 'c'"),
        ("enter", "QuantizeLinear", "reads float tensor 'r'"),
    ]
    assert (found.quantize, found.dequantize, found.integer_nodes) == (1, 1, 2)


@pytest.mark.parametrize("optimized", [False, True])
@pytest.mark.parametrize(("text", "integer_only"), [(QUANTIZED, True), (ISLAND, False)])
def test_the_graph_that_onnxruntime_runs(text: str, integer_only: bool, optimized: bool, tmp_path: Path) -> None:
    path = tmp_path / "optimized.onnx"
    open_session(graph(text), optimize=optimized, optimized_path=path)
    assert audit(path).integer_only == integer_only


def test_qdq_is_float_until_onnxruntime_has_fused_it(tmp_path: Path) -> None:
    path = tmp_path / "optimized.onnx"
    model = graph(qdq_text())
    assert not audit(model).integer_only
    open_session(model, optimized_path=path)
    found = audit(path)
    assert found.float_nodes == ()
    assert found.integer["QLinearConv"] == 1


def test_moving_between_the_last_dequantization_and_the_output_belongs_to_the_end() -> None:
    text = QUANTIZED.replace("[dequantize] y =", "[dequantize] real =").replace("oz)\n}", "oz)\n  [move] y = Identity (real)\n}")
    assert names(text) == []


def test_moving_what_float_arithmetic_reads_is_float() -> None:
    tail = "oz)\n  [move] moved = Identity (real)\n  [square] y = Mul (moved, moved)\n}"
    text = QUANTIZED.replace("[dequantize] y =", "[dequantize] real =").replace("oz)\n}", tail)
    assert names(text) == ["dequantize", "move", "square"]


def test_moving_before_the_first_quantization_belongs_to_the_end() -> None:
    text = QUANTIZED.replace("QuantizeLinear (x, xs", "QuantizeLinear (moved, xs")
    text = text.replace("[quantize]", "[move] moved = Identity (x)\n  [quantize]")
    assert names(text) == []


def test_the_shape_of_a_float_tensor_is_no_float() -> None:
    text = QUANTIZED.replace("oz)\n}", "oz)\n  [shape] s = Shape (x)\n  [size] t = Size (x)\n}")
    assert names(text) == []


def test_a_computed_scale_is_float() -> None:
    text = "net (uint8[4] x, float s, uint8 z) => (uint8[4] y)\n{ [table] y = com.microsoft.QLinearSigmoid (x, s, z, s, z) }"
    assert names(HEADER + text) == ["table"]


def test_factors_of_a_resize_are_parameters() -> None:
    text = "net (uint8[1, 1, 4, 4] x) => (uint8[1, 1, 8, 8] y)\n<float[4] f = {1, 1, 2, 2}>\n{ y = Resize (x, , f) }"
    assert names(HEADER + text) == []


def test_subgraphs_are_looked_into() -> None:
    text = (
        HEADER
        + """net (bool c, int64[4] x) => (int64[4] y)
    {
      [if] y = If (c) <
        then_branch = t () => (int64[4] a) {
          [to] f = Cast <to = 1> (x)
          [back] a = Cast <to = 7> (f)
        },
        else_branch = e () => (int64[4] b) { [same] b = Identity (x) }
      >
    }"""
    )
    assert names(text) == ["to", "back"]
    assert audit(graph(text)).integer == {"If": 1, "Identity": 1}


def test_a_tensor_without_a_type_counts_as_float() -> None:
    text = HEADER + "net (int64[4] x) => (int64[4] y)\n{ [odd] a, b = some.Unknown ()  [use] y = Add (x, b) }"
    found = audit(graph(text))
    assert [node.reason for node in found.float_nodes] == ["writes untyped tensor 'a'", "reads untyped tensor 'b'"]


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.onnx"
    path.write_text("this is text")
    with pytest.raises(ModelError, match="cannot be read"):
        audit(path)
