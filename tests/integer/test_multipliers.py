"""Multipliers of nodes, by the contract's order of float32 operations."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from qconv.integer.language.multipliers import multipliers_of
from qconv.quant.fixedpoint import Multiplier
from tests.integer.graphs import graph
from tests.integer.onenode import Array, codes, f32, one_node, zero

MS = "com.microsoft"
X = codes(np.random.default_rng(0), (1, 3, 7, 7))
A, B, C = f32(0.1), f32(0.07), f32(0.013)


def exact(scale: Array) -> Multiplier:
    """The multiplier of a scale that float32 operations have formed."""
    assert scale.dtype == np.float32
    return Multiplier.of(np.asarray(scale, np.float32))


def of(op_type: str, inputs: list[Array | None], **attributes: float) -> list[Multiplier]:
    """The multipliers of a single node."""
    domain = "" if op_type == "QLinearConv" else MS
    dynamic = (2,) if op_type == "QLinearConcat" else (0,)
    model, _ = one_node(op_type, inputs, domain=domain, attributes=attributes, dynamic=dynamic)
    return multipliers_of(next(iter(ir.from_proto(model).graph)))


def test_products_by_channel() -> None:
    weight, scales = np.ones((2, 3, 1, 1), np.int8), np.array([0.07, 0.03], np.float32)
    got = of("QLinearConv", [X, A, zero(0), weight, scales, np.zeros(2, np.int8), C, zero(0)])
    assert got == [exact((A * scales) / C)]
    assert got[0].m0.shape == (2,)


def test_a_product() -> None:
    assert of("QLinearMul", [X, A, zero(0), X, B, zero(0), C, zero(0)]) == [exact((A * B) / C)]


def test_a_gemm_multiplies_by_alpha_first() -> None:
    got = of("QGemm", [X[0, 0], A, zero(0), X[0, 0], B, zero(0), None, C, zero(0)], alpha=0.3)
    assert got == [exact((np.float32(0.3) * A * B) / C)]


def test_ratios() -> None:
    assert of("QLinearAdd", [X, A, zero(0), X, B, zero(0), C, zero(0)]) == [exact(A / C), exact(B / C)]
    assert of("QLinearConcat", [C, zero(0), X, A, zero(0), X, B, zero(0)], axis=1) == [exact(A / C), exact(B / C)]


def test_a_mean_holds_the_size_of_the_map() -> None:
    got = of("QLinearGlobalAveragePool", [X, A, zero(0), C, zero(0)], channels_last=0)
    assert got == [exact(A / (C * np.float32(49)))]


def test_a_leaky_relu_has_two() -> None:
    got = of("QLinearLeakyRelu", [X, A, zero(0), C, zero(0)], alpha=0.3)
    assert got == [exact(A / C), exact((np.float32(0.3) * A) / C)]


@pytest.mark.parametrize("op_type", ["QLinearSigmoid", "QLinearSoftmax"])
def test_tables_have_none(op_type: str) -> None:
    assert of(op_type, [X, A, zero(0), C, zero(0)], opset=13) == []


def test_plain_nodes_have_none() -> None:
    model = graph()
    assert {node.op_type for node in model.graph if not multipliers_of(node)} == {"QuantizeLinear", "Clip", "DequantizeLinear"}
