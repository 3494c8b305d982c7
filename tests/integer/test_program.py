"""The program that is read from an integer model: what it holds of each node, and that the executor computes from it."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from qconv.integer.execution.compare import mismatches
from qconv.integer.execution.executor import Executor
from qconv.integer.metadata import PREFIX
from qconv.integer.program import Program
from qconv.quant.types import INT8, UINT8
from tests.integer.graphs import graph, sample

SCAN = """<ir_version: 10, opset_import: ["" : 21]>
g (int32[2] start, int32[3,2] x) => (int32[2] last, int32[3,2] all) <int32 two = {2}> {
    [scan] last, all = Scan<num_scan_inputs: int = 1,
        body: graph = step (int32[2] h, int32[2] part) => (int32[2] next, int32[2] seen) {
            [double] twice = Mul(h, two) [plus] next = Add(twice, part) [copy] seen = Identity(next) }>(start, x)
}"""


def test_a_step_has_what_its_node_has() -> None:
    conv = Program.read(graph()).steps[1]
    assert (conv.op, conv.name, conv.source) == ("QLinearConv", "conv", None)
    assert [operand.name for operand in conv.reads] == ["x_quantized", "w"]
    assert [(float(p.scale), p.zero, p.int_type) for p in map(conv.codes, (0, 1))] == [(0.5, 128, UINT8), (0.25, 0, INT8)]
    assert (float(conv.result.scale), conv.result.zero) == (1.0, 100)
    assert conv.bias is not None and conv.bias.constant is not None
    assert conv.bias.constant.tolist() == [5, -7]
    assert conv.arguments == (*conv.operands, conv.bias)
    assert [float(multiplier.real) for multiplier in conv.multipliers] == [0.125]


def test_an_input_that_is_left_out_keeps_its_place() -> None:
    model = graph()
    clip = model.graph.node("clip")
    model.graph.node("clip").resize_inputs(3)
    clip.replace_input_with(2, clip.inputs[1])
    clip.replace_input_with(1, None)
    step = Program.read(model).steps[2]
    assert [None if operand is None else operand.name for operand in step.operands] == ["c_quantized", None, "low"]
    assert [operand.name for operand in step.reads] == ["c_quantized", "low"]


def test_scales_that_are_computed_make_a_step_foreign() -> None:
    text = """<ir_version: 10, opset_import: ["" : 21, "com.microsoft" : 1]>
g (uint8[4] a, float s) => (uint8[4] y) <float one = {1.0}, uint8 zero = {0}> {
    [sum] y = com.microsoft.QLinearAdd(a, s, zero, a, one, zero, one, zero)
}"""
    program = Program.read(graph(text))
    assert not program.steps[0].rescales
    assert [step.name for step in Executor(program).foreign] == ["sum"]


def test_the_executor_computes_with_the_multipliers_of_the_table() -> None:
    """A model whose table says another multiplier than its scales make is not equal to onnxruntime."""
    model = graph()
    words = {
        "source": "conv",
        "tensor": "c",
        "scale": "1.0",
        "zero_point": "100",
        "m0": str((1 << 30) + (1 << 20)),
        "n": "2",
    }
    assert mismatches(model, sample()) == []
    model.graph.node("conv").metadata_props.update({f"{PREFIX}{key}": text for key, text in words.items()})
    found = mismatches(model, sample())
    assert found and (found[0].tensor, found[0].node) == ("c_quantized", "conv")


def test_the_body_of_a_scan_is_a_program_of_its_own() -> None:
    program = Program.read(graph(SCAN))
    (scan,) = program.steps
    body = scan.bodies["body"]
    assert [step.name for step in body.steps] == ["double", "plus", "copy"]
    assert [step.name for step in program.all_steps()] == ["scan", "double", "plus", "copy"]
    assert "body" not in scan.geometry
    x = np.array([[1, 2], [3, 4], [5, 6]], np.int32)
    values = Executor(program).run({"start": np.array([1, 0], np.int32), "x": x})
    assert values["all"].tolist() == [[3, 2], [9, 8], [23, 22]]
    assert values["last"].tolist() == [23, 22]


def test_a_scan_runs_backwards_where_it_says_so() -> None:
    """The states go from the last row to the first; the rows that come out lie as `scan_output_directions` says."""
    feeds = {"start": np.array([1, 0], np.int32), "x": np.array([[1, 2], [3, 4], [5, 6]], np.int32)}
    for way, rows in ((0, [[7, 6], [17, 16], [35, 34]]), (1, [[35, 34], [17, 16], [7, 6]])):
        ways = f"num_scan_inputs: int = 1, scan_input_directions: ints = [1], scan_output_directions: ints = [{way}]"
        model = graph(SCAN.replace("num_scan_inputs: int = 1", ways))
        values = Executor(Program.read(model)).run(feeds)
        assert values["all"].tolist() == rows
        assert values["last"].tolist() == [35, 34]
        assert mismatches(model, feeds) == []


def test_who_makes_and_who_reads_a_tensor() -> None:
    program = Program.read(graph())
    by_name: dict[str, ir.Value] = {write.name: write.value for step in program.steps for write in step.writes}
    assert program.makers[by_name["r_quantized"]].name == "clip"
    assert [step.name for step in program.readers[by_name["x_quantized"]]] == ["conv", "add"]


def test_the_axis_of_a_weight_is_that_of_its_columns() -> None:
    text = """<ir_version: 10, opset_import: ["" : 21, "com.microsoft" : 1]>
g (uint8[1,2] x) => (uint8[1,3] y) <float one = {1.0}, uint8 zero = {0}, int8[2,3] w = {1, 2, 3, 4, 5, 6},
 int8[3,2] v = {1, 2, 3, 4, 5, 6}, float[3] ws = {1.0, 2.0, 4.0}, int8[3] wz = {0, 0, 0}> {
    [columns] a = QLinearMatMul (x, one, zero, w, ws, wz, one, zero)
    [rows] y = com.microsoft.QGemm <transB = 1> (x, one, zero, v, ws, wz, , one, zero)
}"""
    columns, rows = Program.read(graph(text)).steps
    assert (columns.codes(1).axis, rows.codes(1).axis) == (-1, 0)
    assert columns.codes(1).dequantize(np.ones((2, 3), np.int8)).tolist() == [[1, 2, 4], [1, 2, 4]]
