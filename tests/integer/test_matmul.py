"""QLinearMatMul and QGemm, equal to onnxruntime on every element."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from numpy.typing import DTypeLike

from qconv.errors import ModelError
from qconv.integer.execution.executor import Executor
from qconv.integer.program import Program
from tests.integer.onenode import assert_equal, codes, dyadic, f32, one_node, zero

MS = "com.microsoft"


@pytest.mark.parametrize(
    ("a_shape", "b_shape"),
    [
        ((5, 64), (64, 33)),
        ((2, 5, 64), (64, 33)),
        ((2, 3, 5, 64), (2, 3, 64, 33)),
        ((2, 3, 5, 64), (3, 64, 33)),
        ((2, 1, 5, 64), (3, 64, 7)),
        ((64,), (64, 33)),
        ((5, 64), (64,)),
        ((1, 700), (700, 10)),
    ],
)
@pytest.mark.parametrize(("a_type", "b_type"), [(np.uint8, np.uint8), (np.uint8, np.int8), (np.int8, np.int8)])
@pytest.mark.parametrize("constant", [True, False])
def test_matmul(a_shape: tuple[int, ...], b_shape: tuple[int, ...], a_type: DTypeLike, b_type: DTypeLike, constant: bool) -> None:
    rng = np.random.default_rng(0)
    inputs = [codes(rng, a_shape, a_type), f32(2**-4), zero(90 if a_type is np.uint8 else 4, a_type)]
    inputs += [codes(rng, b_shape, b_type), dyadic(rng), zero(120 if b_type is np.uint8 else 0, b_type)]
    inputs += [f32(0.5), zero(120 if a_type is np.uint8 else 0, a_type)]
    assert_equal(*one_node("QLinearMatMul", inputs, outputs=[a_type], dynamic=(0,) if constant else (0, 3)))


@pytest.mark.parametrize(
    ("a_shape", "b_shape", "scale_shape"),
    [
        ((5, 64), (64, 33), (33,)),
        ((5, 64), (64, 33), (1, 33)),
        ((2, 5, 64), (64, 33), (33,)),
    ],
)
def test_matmul_with_a_scale_for_each_column(
    a_shape: tuple[int, ...], b_shape: tuple[int, ...], scale_shape: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(0)
    scales = dyadic(rng, int(np.prod(scale_shape))).reshape(scale_shape)
    inputs = [codes(rng, a_shape), f32(2**-4), zero(90), codes(rng, b_shape, np.int8), scales, np.zeros(scale_shape, np.int8)]
    assert_equal(*one_node("QLinearMatMul", [*inputs, f32(0.5), zero(120)]))


def test_a_scale_for_each_matrix_is_outside_the_language() -> None:
    rng = np.random.default_rng(0)
    scales = dyadic(rng, 66).reshape(2, 1, 33)
    inputs = [codes(rng, (2, 5, 64)), f32(2**-4), zero(90), codes(rng, (2, 64, 33), np.int8), scales]
    model, feeds = one_node("QLinearMatMul", [*inputs, np.zeros((2, 1, 33), np.int8), f32(0.5), zero(120)])
    with pytest.raises(ModelError, match="outside the integer language"):
        Executor(Program.read(ir.from_proto(model))).run(feeds)


@pytest.mark.parametrize("trans_a", [0, 1])
@pytest.mark.parametrize("trans_b", [0, 1])
@pytest.mark.parametrize("bias_shape", [None, (30,), (5, 30), (1, 30)])
@pytest.mark.parametrize(("b_type", "per_column"), [(np.int8, True), (np.int8, False), (np.uint8, False)])
def test_gemm(trans_a: int, trans_b: int, bias_shape: tuple[int, ...] | None, b_type: DTypeLike, per_column: bool) -> None:
    rng = np.random.default_rng(0)
    b_scale = dyadic(rng, 30 if per_column else None)
    b_zero_point = np.full(b_scale.shape, 0 if b_type is np.int8 else 120, b_type)
    bias = None if bias_shape is None else rng.integers(-5000, 5000, bias_shape, np.int32)
    inputs = [codes(rng, (64, 5) if trans_a else (5, 64)), f32(2**-4), zero(90)]
    inputs += [codes(rng, (30, 64) if trans_b else (64, 30), b_type), b_scale, b_zero_point]
    attributes = {"transA": trans_a, "transB": trans_b}
    assert_equal(*one_node("QGemm", [*inputs, bias, f32(0.5), zero(120)], domain=MS, attributes=attributes))


def test_gemm_of_two_activations() -> None:
    rng = np.random.default_rng(0)
    inputs = [codes(rng, (5, 300)), f32(2**-4), zero(90), codes(rng, (300, 7)), dyadic(rng), zero(120), None, f32(0.5), zero(120)]
    assert_equal(*one_node("QGemm", inputs, domain=MS, dynamic=(0, 3)))


@pytest.mark.parametrize("by_column", [True, False])
def test_a_weight_that_is_multiplied_in_blocks(by_column: bool) -> None:
    """3000 x 1500 weights exceed a block; a column's sums may exceed float32 in one block and not in another."""
    rng = np.random.default_rng(0)
    weight = codes(rng, (3000, 1500), np.int8)
    weight[:, ::2] //= 64
    scales = dyadic(rng, 1500) if by_column else dyadic(rng)
    inputs = [codes(rng, (3, 3000)), f32(2**-4), zero(128), weight, scales, np.zeros(scales.shape, np.int8), f32(4), zero(120)]
    assert_equal(*one_node("QLinearMatMul", inputs))


@pytest.mark.parametrize(("a_shape", "b_shape"), [((2, 5, 64), (64, 1)), ((5, 8), (8, 3)), ((4, 1, 40), (40, 1))])
def test_int32_products(a_shape: tuple[int, ...], b_shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    inputs = [rng.integers(-(2**20), 2**20, shape).astype(np.int32) for shape in (a_shape, b_shape)]
    assert_equal(*one_node("MatMul", inputs, outputs=[np.int32]))
