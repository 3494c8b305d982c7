"""Every op of the table: it becomes integer, is exact against onnxruntime, and stays close to float."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from qconv.ops.op_table import TABLE
from tests.lower.harness import Array, normal, quantize_graph


@dataclass(frozen=True)
class Case:
    """A graph around one op; `becomes` are op types that the integer graph must hold."""

    name: str
    text: str
    weights: dict[str, Array] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=lambda: {"x": (1, 4, 6, 6)})
    becomes: tuple[str, ...] = ()
    sqnr: float = 30.0  # 8 bits give about 45 dB for one rounding of a normal tensor; two operands and a rounding leave 38


def _unary(op: str, attributes: str = "", becomes: tuple[str, ...] = (), sqnr: float = 30.0) -> Case:
    return Case(
        f"{op}{attributes}",
        f"g (float[1,4,6,6] x) => (float[1,4,6,6] y) {{ y = {op}{attributes}(x) }}",
        becomes=becomes,
        sqnr=sqnr,
    )


def _positive(op: str) -> Case:
    text = f"g (float[1,4,6,6] x) => (float[1,4,6,6] y) {{ s = Softplus(x) y = {op}(s) }}"
    return Case(op, text, sqnr=25.0)


def _image(
    name: str, body: str, out: str, weights: dict[str, Array] | None = None, becomes: tuple[str, ...] = (), sqnr: float = 30.0
) -> Case:
    return Case(name, f"g (float[1,4,6,6] x) => (float[{out}] y) {{ {body} }}", weights or {}, becomes=becomes, sqnr=sqnr)


def _two(name: str, body: str, out: str, a: tuple[int, ...], b: tuple[int, ...], becomes: tuple[str, ...]) -> Case:
    shapes = {"a": a, "b": b}
    text = f"g (float[{_sizes(a)}] a, float[{_sizes(b)}] b) => (float[{out}] y) {{ {body} }}"
    return Case(name, text, shapes=shapes, becomes=becomes)


def _sizes(shape: tuple[int, ...]) -> str:
    return ",".join(map(str, shape))


def _ints(*values: int) -> Array:
    return np.asarray(values, np.int64)


CASES = [
    _image("Conv", "y = Conv(x, w, b)", "1,8,4,4", {"w": normal(8, 4, 3, 3), "b": normal(8)}, ("QLinearConv",)),
    _image("Conv without bias", "y = Conv<pads=[1,1,1,1], strides=[2,2]>(x, w)", "1,8,3,3", {"w": normal(8, 4, 3, 3)}),
    _image("Conv grouped", "y = Conv<group=2, dilations=[2,2]>(x, w)", "1,6,2,2", {"w": normal(6, 2, 3, 3)}),
    _image("Conv depthwise", "y = Conv<group=4, pads=[1,1,1,1]>(x, w, b)", "1,4,6,6", {"w": normal(4, 1, 3, 3), "b": normal(4)}),
    Case("Conv 1-D", "g (float[1,3,9] x) => (float[1,5,7] y) { y = Conv(x, w) }", {"w": normal(5, 3, 3)}, {"x": (1, 3, 9)}),
    Case(
        "Conv 3-D",
        "g (float[1,2,5,5,5] x) => (float[1,3,4,4,4] y) { y = Conv(x, w) }",
        {"w": normal(3, 2, 2, 2, 2)},
        {"x": (1, 2, 5, 5, 5)},
    ),
    Case(
        "Conv of 3 channels",
        "g (float[1,3,6,6] x) => (float[1,5,4,4] y) { y = Conv(x, w) }",
        {"w": normal(5, 3, 3, 3)},
        {"x": (1, 3, 6, 6)},
        ("Pad",),
    ),
    _image("Conv, Relu", "t = Conv(x, w, b) y = Relu(t)", "1,8,4,4", {"w": normal(8, 4, 3, 3), "b": normal(8)}),
    _image(
        "Conv, Clip away from zero",
        "t = Conv(x, w) y = Clip(t, lo, hi)",
        "1,8,4,4",
        {"w": normal(8, 4, 3, 3), "lo": np.asarray(1.0, np.float32), "hi": np.asarray(4.0, np.float32)},
        ("Clip",),
    ),
    _image(
        "ConvTranspose k2 s2", "y = ConvTranspose<strides=[2,2]>(x, w, b)", "1,3,12,12", {"w": normal(4, 3, 2, 2), "b": normal(3)}
    ),
    _image(
        "ConvTranspose k3 s2", "y = ConvTranspose<strides=[2,2]>(x, w)", "1,3,13,13", {"w": normal(4, 3, 3, 3)}, ("DepthToSpace",)
    ),
    _image(
        "ConvTranspose k3 s2, padded",
        "t = ConvTranspose<strides=[2,2], pads=[1,1,1,1], output_padding=[1,1]>(x, w, b) y = Relu(t)",
        "1,3,12,12",
        {"w": normal(4, 3, 3, 3), "b": normal(3)},
        ("QLinearConv", "DepthToSpace", "Slice"),
    ),
    _image(
        "ConvTranspose k5 s3, uneven",
        "y = ConvTranspose<strides=[3,3], pads=[2,0,1,3]>(x, w)",
        "1,2,17,17",
        {"w": normal(4, 2, 5, 5)},
    ),
    _image(
        "ConvTranspose of two strides",
        "y = ConvTranspose<strides=[2,3], pads=[1,0,0,2]>(x, w, b)",
        "1,3,12,17",
        {"w": normal(4, 3, 3, 4), "b": normal(3)},
    ),
    _image("ConvTranspose, dilated", "y = ConvTranspose<dilations=[2,3]>(x, w)", "1,3,10,12", {"w": normal(4, 3, 3, 3)}),
    _image(
        "ConvTranspose to a shape",
        "y = ConvTranspose<strides=[2,2], output_shape=[12,11]>(x, w)",
        "1,3,12,11",
        {"w": normal(4, 3, 3, 3)},
    ),
    Case(
        "ConvTranspose 1-D",
        "g (float[1,4,9] x) => (float[1,6,L] y) { y = ConvTranspose<strides=[4], pads=[2,2], group=2>(x, w) }",
        {"w": normal(4, 3, 8)},
        {"x": (1, 4, 9)},
    ),
    _image("ConvTranspose k3 s1", "y = ConvTranspose<pads=[1,1,1,1]>(x, w)", "1,2,6,6", {"w": normal(4, 2, 3, 3)}),
    _image("ConvTranspose depthwise", "y = ConvTranspose<group=4, strides=[2,2]>(x, w)", "1,4,14,14", {"w": normal(4, 1, 4, 4)}),
    Case(
        "ConvTranspose of free sizes",
        "g (float[1,2,H,W] x) => (float[1,3,P,Q] y) { y = ConvTranspose<strides=[2,2], pads=[1,1,1,1]>(x, w) }",
        {"w": normal(2, 3, 4, 4)},
        {"x": (1, 2, 5, 7)},
    ),
    Case(
        "Gemm",
        "g (float[N,12] x) => (float[N,7] y) { y = Gemm(x, w, b) }",
        {"w": normal(12, 7), "b": normal(7)},
        {"x": (3, 12)},
        ("QGemm",),
    ),
    Case(
        "Gemm transposed",
        "g (float[N,12] x) => (float[N,7] y) { y = Gemm<transB=1>(x, w) }",
        {"w": normal(7, 12)},
        {"x": (3, 12)},
    ),
    Case(
        "MatMul",
        "g (float[2,3,12] x) => (float[2,3,7] y) { y = MatMul(x, w) }",
        {"w": normal(12, 7)},
        {"x": (2, 3, 12)},
        ("QLinearMatMul",),
    ),
    Case(
        "MatMul with bias",
        "g (float[2,3,12] x) => (float[2,3,7] y) { t = MatMul(x, w) y = Add(t, b) }",
        {"w": normal(12, 7), "b": normal(7)},
        {"x": (2, 3, 12)},
        ("QLinearConv",),
    ),
    Case(
        "MatMul with bias, free sizes",
        "g (float[B,T,12] x) => (float[B,T,7] y) { t = MatMul(x, w) y = Add(b, t) }",
        {"w": normal(12, 7), "b": normal(7)},
        {"x": (2, 3, 12)},
        ("QLinearConv",),
    ),
    Case(
        "MatMul, constant batch",
        "g (float[2,3,12] x) => (float[2,3,7] y) { y = MatMul(x, w) }",
        {"w": normal(2, 12, 7)},
        {"x": (2, 3, 12)},
    ),
    Case(
        "MatMul, constant left",
        "g (float[2,12,3] x) => (float[2,7,3] y) { y = MatMul(w, x) }",
        {"w": normal(7, 12)},
        {"x": (2, 12, 3)},
    ),
    _two("MatMul of two", "y = MatMul(a, b)", "2,4,4", (2, 4, 8), (2, 8, 4), ("QLinearMatMul",)),
    _two("Add", "y = Add(a, b)", "1,4,6,6", (1, 4, 6, 6), (1, 4, 6, 6), ("QLinearAdd",)),
    _two("Add broadcast", "y = Add(a, b)", "1,4,6,6", (1, 4, 6, 6), (4, 1, 1), ("QLinearAdd",)),
    _two("Sub", "y = Sub(a, b)", "1,4,6,6", (1, 4, 6, 6), (1, 4, 6, 6), ("QLinearAdd", "BitwiseXor")),
    _two("Mul", "y = Mul(a, b)", "1,4,6,6", (1, 4, 6, 6), (1, 4, 6, 6), ("QLinearMul",)),
    _image("Add of a constant", "y = Add(x, c)", "1,4,6,6", {"c": normal(1, 4, 6, 6)}, ("QLinearAdd",)),
    _image("Sub of a constant", "y = Sub(x, c)", "1,4,6,6", {"c": normal(1, 4, 6, 6)}, ("QLinearAdd",)),
    _image("Sub from a constant", "y = Sub(c, x)", "1,4,6,6", {"c": normal(1, 4, 6, 6)}, ("QLinearAdd",)),
    _image("Mul by a constant", "y = Mul(x, c)", "1,4,6,6", {"c": normal(1, 4, 6, 6)}, ("QLinearMul",)),
    _image("Mul by a scalar", "y = Mul(x, c)", "1,4,6,6", {"c": np.asarray(3.7, np.float32)}),
    _two(
        "Concat, one consumer each",
        "s = Relu(a) t = Relu(b) y = Concat<axis=1>(s, t)",
        "1,6,3,3",
        (1, 2, 3, 3),
        (1, 4, 3, 3),
        ("Concat",),
    ),
    _two(
        "Concat, inputs used elsewhere",
        "s = Sigmoid(a) t = Softplus(b) u = Concat<axis=1>(s, t) v = Add(s, t) w = Add(u, v) y = Exp(w)",
        "1,2,3,3",
        (1, 1, 3, 3),
        (1, 1, 3, 3),
        ("QLinearConcat",),
    ),
    _image("AveragePool", "y = AveragePool<kernel_shape=[2,2], strides=[2,2]>(x)", "1,4,3,3", becomes=("QLinearConv",)),
    _image(
        "AveragePool counting padding",
        "y = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1], count_include_pad=1>(x)",
        "1,4,6,6",
        becomes=("QLinearConv",),
    ),
    _image(
        "AveragePool leaving padding out",
        "y = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1]>(x)",
        "1,4,6,6",
        becomes=("QLinearAveragePool",),
        sqnr=25.0,
    ),
    _image("GlobalAveragePool", "y = GlobalAveragePool(x)", "1,4,1,1", becomes=("QLinearGlobalAveragePool",)),
    _image(
        "ReduceMean over space",
        "y = ReduceMean<keepdims=0>(x, axes)",
        "1,4",
        {"axes": _ints(2, 3)},
        ("QLinearGlobalAveragePool",),
    ),
    _image("MaxPool", "y = MaxPool<kernel_shape=[3,3], pads=[1,1,1,1], strides=[2,2]>(x)", "1,4,3,3", becomes=("MaxPool",)),
    _image("GlobalMaxPool", "y = GlobalMaxPool(x)", "1,4,1,1", becomes=("ReduceMax",)),
    _image("Relu", "y = Relu(x)", "1,4,6,6"),
    _image("Relu beside another reader", "t = Add(x, x) r = Relu(t) y = Add(t, r)", "1,4,6,6", becomes=("Clip",)),
    _image("Clip", "y = Clip(x, lo, hi)", "1,4,6,6", {"lo": np.asarray(-0.5, np.float32), "hi": np.asarray(6.0, np.float32)}),
    _unary("LeakyRelu", "<alpha=0.1>", becomes=("QLinearLeakyRelu",)),
    _unary("Sigmoid", becomes=("QLinearSigmoid",)),
    _unary("HardSigmoid", "<alpha=0.2, beta=0.5>", becomes=("QLinearConcat",)),
    _unary("HardSigmoid", "<alpha=0.2, beta=0.3>"),
    _unary("HardSigmoid", "<alpha=0.2, beta=0.0>", sqnr=25.0),
    _unary("HardSwish", becomes=("Clip", "QLinearMul")),
    _unary("Softmax", "<axis=1>", becomes=("QLinearSoftmax",)),
    _unary("Softmax", becomes=("QLinearSoftmax",)),
    _unary("Tanh", becomes=("QLinearSigmoid",)),
    *(
        _unary(op)
        for op in ("Abs", "Celu", "Cos", "Elu", "Erf", "Exp", "Gelu", "Mish", "Neg", "Selu", "Sin", "Softplus", "Softsign")
    ),
    *(
        _unary(op, sqnr=15.0) for op in ("Ceil", "Floor", "Round", "Sign", "ThresholdedRelu")
    ),  # steps: a half code away is a whole one
    *(_positive(op) for op in ("Sqrt",)),
    *(_unary(op) for op in ("Asinh", "Atan", "Cosh", "Sinh")),
    _unary("Shrink", "<lambd=0.4, bias=0.1>"),
    _unary("LeakyRelu", "<alpha=-0.2>", becomes=("GatherElements",)),
    *(
        Case(op, f"g (float[1,4,6,6] x) => (float[1,4,6,6] y) {{ s = Softsign(x) y = {op}(s) }}", {})
        for op in ("Acos", "Asin", "Atanh", "Tan")
    ),
    Case(
        "Acosh",
        "g (float[1,4,6,6] x) => (float[1,4,6,6] y) { s = Exp(x) t = Add(s, one) y = Acosh(t) }",
        {"one": np.asarray(1.0, np.float32)},
    ),
    Case(
        "Log",
        "g (float[1,4,6,6] x) => (float[1,4,6,6] y) { s = Exp(x) t = Add(s, one) y = Log(t) }",
        {"one": np.asarray(1.0, np.float32)},
    ),
    Case(
        "Reciprocal",
        "g (float[1,4,6,6] x) => (float[1,4,6,6] y) { s = Sigmoid(x) t = Add(s, one) y = Reciprocal(t) }",
        {"one": np.asarray(1.0, np.float32)},
    ),
    _image("Pow", "y = Pow(x, c)", "1,4,6,6", {"c": np.asarray(2.0, np.float32)}, ("GatherElements",)),
    Case(
        "Exp of free sizes", "g (float[A,B,6] x) => (float[A,B,6] y) { y = Exp(x) }", shapes={"x": (2, 3, 6)}, becomes=("Shape",)
    ),
    _image("Flatten", "y = Flatten(x)", "1,144"),
    _image("Reshape", "y = Reshape(x, s)", "4,36", {"s": _ints(4, -1)}),
    _image("Transpose", "y = Transpose<perm=[0,2,3,1]>(x)", "1,6,6,4"),
    _image(
        "Unsqueeze, Squeeze", "t = Unsqueeze(x, a) r = Add(t, t) y = Squeeze(r, z)", "4,6,6,1", {"a": _ints(4), "z": _ints(0)}
    ),
    _image("Slice", "y = Slice(x, b, e, a, s)", "1,4,3,6", {"b": _ints(5), "e": _ints(-100), "a": _ints(2), "s": _ints(-2)}),
    _image("Split", "p, q = Split<axis=1>(x, s) t = Relu(p) y = Concat<axis=1>(q, t)", "1,4,6,6", {"s": _ints(1, 3)}, ("Split",)),
    _image("Expand", "t = GlobalAveragePool(x) y = Expand(t, s)", "1,4,5,5", {"s": _ints(1, 4, 5, 5)}),
    _image("Tile", "y = Tile(x, r)", "1,8,6,6", {"r": _ints(1, 2, 1, 1)}),
    _image("DepthToSpace", "y = DepthToSpace<blocksize=2>(x)", "1,1,12,12"),
    _image("SpaceToDepth", "y = SpaceToDepth<blocksize=2>(x)", "1,16,3,3"),
    _image("Gather", "y = Gather<axis=1>(x, i)", "1,2,6,6", {"i": _ints(3, 0)}),
    _image("GatherElements", "y = GatherElements<axis=1>(x, i)", "1,1,6,6", {"i": np.full((1, 1, 6, 6), 2, np.int64)}),
    _image(
        "ReduceMax, ReduceMin",
        "s = ReduceMax<keepdims=1>(x, a) t = ReduceMin<keepdims=1>(x, a) y = Add(s, t)",
        "1,4,1,6",
        {"a": _ints(2)},
    ),
    _image("Pad", "y = Pad(x, p)", "1,4,8,9", {"p": _ints(0, 0, 1, 2, 0, 0, 1, 1)}, ("Pad",)),
    _image(
        "Pad with a value",
        "y = Pad(x, p, v)",
        "1,4,6,9",
        {"p": _ints(0, 0, 0, 2, 0, 0, 0, 1), "v": np.asarray(-7.0, np.float32)},
        ("Pad",),
    ),
    _image("Pad negative", "y = Pad(x, p)", "1,4,5,5", {"p": _ints(0, 0, -1, 0, 0, 0, 0, -1)}),
    _image("Pad reflect", 'y = Pad<mode="reflect">(x, p)', "1,4,6,9", {"p": _ints(0, 0, 0, 2, 0, 0, 0, 1)}, ("Pad",)),
    _image("Resize", 'y = Resize<mode="nearest">(x, , s)', "1,4,12,12", {"s": np.asarray([1, 1, 2, 2], np.float32)}, ("Resize",)),
    Case("Softmax over an axis of 1", "g (float[4,1] x) => (float[4,1] y) { y = Softmax<axis=1>(x) }", shapes={"x": (4, 1)}),
    Case("ArgMax", "g (float[1,4,6,6] x) => (int64[1,1,6,6] y) { y = ArgMax<axis=1>(x) }", sqnr=10.0),
    Case("ArgMin", "g (float[1,4,6,6] x) => (int64[1,1,6,6] y) { y = ArgMin<axis=1>(x) }", sqnr=10.0),
    _image("Max, Min", "a = Max(x, c) s = Sigmoid(x) y = Min(a, s)", "1,4,6,6", {"c": normal(1, 1, 6)}, ("Max", "Min")),
    _image("Where", "s = Sigmoid(x) y = Where(c, x, s)", "1,4,6,6", {"c": normal(1, 6, 6) > 0}, ("Where",)),
    _image("Div", "s = Sigmoid(x) y = Div(x, s)", "1,4,6,6", {}, ("Gather",), sqnr=15.0),
    _image("ReduceSum", "y = ReduceSum(x, a)", "1,1,6,6", {"a": _ints(1)}, ("ReduceSum",)),
    _image("ReduceMean", "y = ReduceMean(x, a)", "1,4,1,6", {"a": _ints(2)}, ("ReduceSum",)),
    Case(
        "ReduceMean and ReduceSum of free sizes",
        "g (float[1,H,4] x) => (float[1,4] y) { m = ReduceMean<keepdims=0>(x, a) s = ReduceSum<keepdims=0>(x, a) y = Mul(m, s) }",
        {"a": _ints(1)},
        {"x": (1, 7, 4)},
    ),
    Case(
        "Cast",
        "g (float[1,4] x) => (float[1,1] y) { i = ArgMax<axis=1>(x) t = Cast<to=1>(i) y = Mul(t, t) }",
        shapes={"x": (1, 4)},
    ),
    Case(
        "attention over many tokens",
        "g (float[1,2,120,8] q, float[1,2,8,120] k, float[1,2,120,8] v) => (float[1,2,120,8] y)"
        " { s = MatMul(q, k) p = Softmax<axis=-1>(s) y = MatMul(p, v) }",
        shapes={"q": (1, 2, 120, 8), "k": (1, 2, 8, 120), "v": (1, 2, 120, 8)},
        becomes=("MatMulInteger", "ReduceMax"),
        sqnr=28.0,
    ),
    Case(
        "LayerNormalization",
        "g (float[1,5,24] x) => (float[1,5,24] y) { y = LayerNormalization(x, g, b) }",
        {"g": normal(24), "b": normal(24)},
        {"x": (1, 5, 24)},
        ("MatMul", "ReduceMin"),
    ),
    Case(
        "LayerNormalization of a residual stream",
        "g (float[1,5,24] x) => (float[1,5,24] y)"
        " { a = MatMul(x, w) s = Add(x, a) n = LayerNormalization(s, g) m = MatMul(n, w)"
        " t = Add(n, m) y = LayerNormalization(t, g) }",
        {"g": normal(24), "w": normal(24, 24)},
        {"x": (1, 5, 24)},
        ("MatMulInteger",),
        sqnr=25.0,
    ),
    _image(
        "an RMS norm, written out",
        "q = Mul(x, x) v = ReduceMean(q, a) w = Add(v, e) r = Sqrt(w) y = Div(x, r)",
        "1,4,6,6",
        {"a": _ints(-1), "e": np.asarray(1e-5, np.float32)},
    ),
    _image(
        "Greater, Less",
        "s = Sigmoid(x) g = Greater(x, s) l = Less(x, c) a = Where(g, x, s) y = Where(l, a, x)",
        "1,4,6,6",
        {"c": np.asarray(0.3, np.float32)},
        ("Greater",),
        sqnr=15.0,
    ),
    _image(
        "Equal and its like",
        "s = Relu(x) e = Equal(x, s) g = GreaterOrEqual(x, s) l = LessOrEqual(x, s)"
        " a = Where(e, x, s) b = Where(g, a, x) y = Where(l, b, x)",
        "1,4,6,6",
        {},
        ("Equal",),
        sqnr=10.0,
    ),
    _image(
        "ScatterElements",
        "s = Sigmoid(x) y = ScatterElements<axis=1>(x, i, s)",
        "1,4,6,6",
        {"i": np.tile(_ints(1, 0, 3, 2).reshape(1, 4, 1, 1), (1, 1, 6, 6))},
    ),
    _image("ScatterND", "y = ScatterND(x, i, u)", "1,4,6,6", {"i": _ints(0, 2).reshape(1, 2), "u": normal(1, 6, 6)}),
    _image(
        "GatherND", "t = GatherND(x, i) y = Unsqueeze(t, a)", "1,2,6,6", {"i": _ints(0, 2, 0, 1).reshape(2, 2), "a": _ints(0)}
    ),
    _image("ReverseSequence", "y = ReverseSequence<batch_axis=0, time_axis=1>(x, l)", "1,4,6,6", {"l": _ints(3)}),
    _image("Compress", "y = Compress<axis=2>(x, c)", "1,4,4,6", {"c": np.asarray([True, False, True, True, False, True])}),
    _image("Mod", "y = Mod<fmod=1>(x, c)", "1,4,6,6", {"c": np.asarray(9.0, np.float32)}),
    _image("LRN", "y = LRN<size=3, alpha=0.1>(x)", "1,4,6,6", {}),
    _image("LogSoftmax", "y = LogSoftmax<axis=1>(x)", "1,4,6,6", {}),
    _image("Hardmax", "h = Hardmax<axis=1>(x) y = Mul(h, x)", "1,4,6,6", {}, sqnr=15.0),
    *(
        _image(f"{op} over channels", f"y = {op}(x, a)", "1,1,6,6", {"a": _ints(1)})
        for op in ("ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp")
    ),
    _image("ReduceL2 without its axis", "t = ReduceL2<keepdims=0>(x, a) y = Unsqueeze(t, a)", "1,1,6,6", {"a": _ints(1)}),
    _image("ReduceLogSum", "p = Exp(x) y = ReduceLogSum(p, a)", "1,4,6,1", {"a": _ints(-1)}, sqnr=18.0),
    _image("LpPool", "y = LpPool<kernel_shape=[2,2], strides=[2,2]>(x)", "1,4,3,3", {}),
    _image("GlobalLpPool", "y = GlobalLpPool(x)", "1,4,1,1", {}),
    _image("LpNormalization of order 1", "y = LpNormalization<axis=1, p=1>(x)", "1,4,6,6", {}, sqnr=18.0),
    _image("CumSum", "y = CumSum(x, a)", "1,4,6,6", {"a": np.asarray(1, np.int64)}),
    _image("CumSum backwards", "y = CumSum<exclusive=1, reverse=1>(x, a)", "1,4,6,6", {"a": np.asarray(-1, np.int64)}),
    _image("Mean", "s = Sigmoid(x) y = Mean(x, s, x)", "1,4,6,6", {}),
    _image(
        "Clip, computed",
        "s = Sigmoid(x) n = Neg(s) n1 = ReduceMin<keepdims=0>(n) n2 = ReduceMax<keepdims=0>(s) y = Clip(x, n1, n2)",
        "1,4,6,6",
        {},
    ),
    _image("PRelu, computed", "s = Sigmoid(x) y = PRelu(x, s)", "1,4,6,6", {}),
    _image("Pow of a constant", "y = Pow(c, x)", "1,4,6,6", {"c": np.asarray(1.5, np.float32)}),
    _image("Trilu", "y = Trilu<upper=0>(x)", "1,4,6,6", {}),
    _image("Einsum", 't = Einsum<equation="bchw,bcwk->bhck">(x, x) y = Relu(t)', "1,6,4,6", {}, ("QLinearMatMul",)),
    Case(
        "OneHot",
        "g (float[1,4] x) => (float[1,4,5] y) { i = ArgMax<axis=1>(x) d = Tile(i, r) y = OneHot(d, n, v) }",
        {"r": _ints(1, 4), "n": np.asarray(5, np.int64), "v": np.asarray([0.25, 1.0], np.float32)},
        {"x": (1, 4)},
    ),
    Case(
        "Gemm of two",
        "g (float[3,4] a, float[5,4] b) => (float[3,5] y) { y = Gemm<transB=1, alpha=0.5>(a, b) }",
        shapes={"a": (3, 4), "b": (5, 4)},
    ),
    *(
        Case(
            f"{op}, {direction}",
            f"g (float[5,1,6] x) => (float[5,{d},1,8] y, float[{d},1,8] h) "
            f'{{ y, h = {op}<hidden_size=8, direction="{direction}"{more}>(x, w, r, b) }}',
            {"w": normal(d, gates * 8, 6) / 2, "r": normal(d, gates * 8, 8) / 3, "b": normal(d, 2 * gates * 8) / 4},
            {"x": (5, 1, 6)},
            sqnr=20.0,
        )
        for op, gates in (("RNN", 1), ("GRU", 3), ("LSTM", 4))
        for direction, d, more in (("forward", 1, ""), ("reverse", 1, ""), ("bidirectional", 2, ""))
    ),
    Case(
        "GRU that resets behind its product",
        "g (float[5,1,6] x, float[1,1,8] s) => (float[5,1,1,8] y)"
        " { y = GRU<hidden_size=8, linear_before_reset=1>(x, w, r, b, , s) }",
        {"w": normal(1, 24, 6) / 2, "r": normal(1, 24, 8) / 3, "b": normal(1, 48) / 4},
        {"x": (5, 1, 6), "s": (1, 1, 8)},
        sqnr=20.0,
    ),
    _image("InstanceNormalization", "y = InstanceNormalization(x, g, b)", "1,4,6,6", {"g": normal(4), "b": normal(4)}),
    _image("LpNormalization", "y = LpNormalization<axis=1>(x)", "1,4,6,6", {}),
    _image(
        "a layer norm over channels, written out",
        "m = ReduceMean(x, a) d = Sub(x, m) q = Mul(d, d) v = ReduceMean(q, a) w = Add(v, e) r = Sqrt(w)"
        " n = Div(d, r) y = Mul(n, g)",
        "1,4,6,6",
        {"a": _ints(1), "e": np.asarray(1e-5, np.float32), "g": normal(4, 1, 1)},
    ),
    _image(
        "Softmax written out", "e = Exp(x) s = ReduceSum(e, a) y = Div(e, s)", "1,4,6,6", {"a": _ints(-1)}, ("QLinearSoftmax",)
    ),
    Case("TopK", "g (float[1,4,6,6] x) => (float[1,4,6,3] y) { y, i = TopK(x, k) }", {"k": _ints(3)}),
    *(_image(op, f"n = {op}(x) y = Where(n, c, x)", "1,4,6,6", {"c": np.asarray(0.5, np.float32)}) for op in ("IsNaN", "IsInf")),
    _image(
        "Pow of two",
        "p = Softplus(x) s = Slice(x, z, e, a) y = Pow(p, s)",
        "1,4,6,6",
        {"z": _ints(0), "e": _ints(1), "a": _ints(3)},
        sqnr=20.0,
    ),
    Case(
        "Shape, Size", "g (float[N,4] x) => (int64[2] s, int64 n) { r = Relu(x) s = Shape(r) n = Size(r) }", shapes={"x": (3, 4)}
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_op_becomes_integer(case: Case, tmp_path: Path) -> None:
    feeds = [{name: normal(*shape, seed=10 * i + j) for j, (name, shape) in enumerate(case.shapes.items())} for i in range(4)]
    result = quantize_graph(tmp_path, case.text, case.weights, feeds)
    assert result.quantized.audit.float_nodes == ()
    assert not [node.name for node in result.quantized.model.graph if str(node.name).endswith("_2")]
    assert [c for c in result.quantized.lowering.program.certificates.values() if c.proved != c.scales or c.why] == []
    assert set(case.becomes) <= set(result.ops)
    result.assert_exact()
    assert result.sqnr_db() > case.sqnr


def test_every_op_of_the_table_has_a_case() -> None:
    texts = " ".join(case.text for case in CASES)
    assert [
        op
        for _, op in TABLE
        if f"{op}(" not in texts
        and f"{op}<" not in texts
        and op not in ("Identity", "SimplifiedLayerNormalization", "DequantizeLinear", "QuantizeLinear")
    ] == []
