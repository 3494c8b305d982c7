"""The language of integer graphs: what `check` accepts, and one graph for each thing that it does not."""

from __future__ import annotations

import pytest

from qconv.integer.execution.kernels import KERNELS
from qconv.integer.language.spec import PLAIN, QUANTIZED, check
from tests.integer.graphs import ISLAND, graph
from tests.integer.graphs import QUANTIZED as TEXT

HEADER = '<ir_version: 10, opset_import: ["" : 21, "com.microsoft" : 1]>\n'
CONSTANTS = """<float s = {1.0}, float[1] s1 = {1.0}, float minus = {-1.0}, float half = {0.5}, uint8 z = {0}, uint8 z9 = {9},
 int8 sz = {0}, float small = {0.00390625}, float[4] ws = {1, 1, 1, 1},
 int8[4, 4] w = {1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4},
 int8[4] wz = {0, 0, 0, 0}, int8[4] wz1 = {0, 1, 0, 0},
 float[3] ws3 = {1, 1, 1}, int8[3] wz3 = {0, 0, 0}, int64[4] wide = {0, 0, 0, 0}>"""
MS = "com.microsoft"

ACCEPTED = [
    f"{MS}.QGemm (q, s, z, w, ws, wz, , s, z)",
    f"{MS}.QGemm <transB = 1> (q, s, z, w, s, sz, , s, z)",
    f"{MS}.QGemm (q, s, z, q, s, z, , s, z)",
    "QLinearMatMul (q, s, z, w, ws, wz, s, z)",
    "QLinearMatMul (i, s, sz, w, ws, wz, s, sz)",
    f"{MS}.QLinearSoftmax <opset = 13, axis = -1> (q, s, z, small, z)",
    f"{MS}.QLinearAveragePool <kernel_shape = [1]> (q, s, z, s, z)",
    f"{MS}.QLinearLeakyRelu <alpha = 0.1> (q, s, z, half, z9)",
    f"{MS}.QLinearConcat <axis = 0> (s, z, q, s, z, q, half, z9)",
    "Clip (q, z, z9)",
    "Reshape (q, wide)",
    "Cast <to = 6> (q)",
    "Add (wide, wide)",
    "Softplus (f)",  # float, which the audit reports
]
REFUSED = {
    f"{MS}.QLinearSigmoid (q, s, z, minus, z)": "not a positive, finite float32",
    f"{MS}.QLinearSigmoid (q, s1, z, s, z)": "shape",
    f"{MS}.QLinearSigmoid (q, s, sz, s, z)": "zero point of 'q' is int8, its codes are uint8",
    f"{MS}.QLinearSigmoid (q, s, z, s)": "input 4, a zero point, is not an initializer",
    f"{MS}.QLinearSigmoid (q, s, y, s, z)": "input 2, a zero point, is not an initializer",
    f"{MS}.QLinearAdd (q, ws, wz, q, s, z, s, z)": "not one value of rank 0",
    "QLinearMatMul (q, s, z, w, ws3, wz3, s, z)": "or 4 by channel",
    "QLinearMatMul (q, s, z, w, ws, wz1, s, z)": "not all 0",
    "QLinearMatMul (i, s, sz, q, s, z, s, sz)": "int8 x uint8 to int8, for which there is no kernel",
    f"{MS}.QLinearAdd (q, s, z, i, s, sz, s, z)": "uint8 x int8 to uint8, for which there is no kernel",
    f"{MS}.QGemm <alpha = 2.0> (q, s, z, w, ws, wz, , s, z)": "alpha is not 1",
    f"{MS}.QGemm (q, s, z, w, ws, wz, wide, s, z)": "bias 'wide' is not int32",
    f"{MS}.QLinearSoftmax <opset = 12> (q, s, z, small, z)": "opset is not 13",
    f"{MS}.QLinearSoftmax <opset = 12> (q, s, z, s, z)": "whole number",
    f"{MS}.QLinearAveragePool <kernel_shape = [1]> (q, half, z, half, z)": "scales are not 1",
    f"{MS}.QLinearAveragePool <kernel_shape = [1]> (q, s, z, s, z9)": "zero points differ",
    f"{MS}.QLinearLeakyRelu <alpha = -0.1> (q, s, z, s, z)": "alpha is not positive",
    "QuantizeLinear (f, minus, z)": "not a positive, finite float32",
    "Add (q, q)": "tensor 'q' is uint8",
    "MaxRoiPool (q, q)": "not an operator of the integer language",
    "some.Custom (q)": "not an operator of the integer language",
}


def violations(expression: str) -> list[str]:
    """What `check` says of a graph with one node."""
    inputs = "uint8[4, 4] q, int8[4, 4] i, float[4, 4] f, uint8 y"
    return check(graph(f"{HEADER}net ({inputs}) => (uint8[4, 4] out)\n{CONSTANTS}\n{{ [node] a = {expression} }}"))


@pytest.mark.parametrize("text", [TEXT, ISLAND])
def test_whole_graphs(text: str) -> None:
    assert check(graph(text)) == []


@pytest.mark.parametrize("expression", ACCEPTED)
def test_accepted(expression: str) -> None:
    assert violations(expression) == []


@pytest.mark.parametrize("expression", REFUSED)
def test_refused(expression: str) -> None:
    found = violations(expression)
    assert found
    assert all(text.startswith("node 'node' (") for text in found)
    assert any(REFUSED[expression] in text for text in found)


def test_another_opset_is_refused() -> None:
    found = check(graph(TEXT.replace('"" : 21', '"" : 20')))
    assert found == ["opset 20 of ai.onnx is asked for, and the language is of opset 21"]


def test_every_operator_of_the_language_has_a_kernel() -> None:
    assert set(QUANTIZED) | {("", op_type) for op_type in PLAIN} <= set(KERNELS)


OTHER, NONE = "qconv.m0 and qconv.n are not those of its scales", "its qconv.m0 and qconv.n are damaged"


# M of the convolution is 0.5 * 0.25 / 1.0 = 2^-3, which is 2^30 * 2^-(31 + 2); those of the addition are 1/2 and 1/4.
@pytest.mark.parametrize(
    ("node", "m0", "n", "expected"),
    [
        ("conv", str(1 << 30), "2", []),
        ("conv", f"[{1 << 30}]", "[2]", []),
        ("conv", str(1 << 30), "3", [f"node 'conv' (QLinearConv): {OTHER}"]),
        ("add", f"[{1 << 30}, {1 << 30}]", "[0, 1]", []),
        (
            "add",
            f"[{1 << 30}, {1 << 30}]",
            "[1, 0]",
            [f"node 'add' (QLinearAdd): {OTHER}"],
        ),
        ("add", None, "[0, 1]", [f"node 'add' (QLinearAdd): {NONE}"]),
        ("add", None, None, []),
        ("add", "[", "[0, 1]", [f"node 'add' (QLinearAdd): {NONE}"]),
    ],
)
def test_metadata(node: str, m0: str | None, n: str | None, expected: list[str]) -> None:
    model = graph()
    props = next(found for found in model.graph if found.name == node).metadata_props
    given = {"qconv.source": "layer", "qconv.m0": m0, "qconv.n": n}
    props.update({key: text for key, text in given.items() if text is not None})
    assert check(model) == expected
