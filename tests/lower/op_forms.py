"""The forms of every op of the table, each as a graph of that op alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from tests.lower.harness import Array, normal

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Form:
    """`body` computes y from the tensors of `shapes`; `off` codes may differ from the float op's, 0 where only codes move.

    `low` is added to the samples, after `spread` has multiplied them: 3 keeps nearly all of them positive.
    """

    op: str
    body: str
    weights: Mapping[str, Array] = field(default_factory=dict)
    shapes: Mapping[str, Shape] = field(default_factory=lambda: {"x": (1, 4, 7, 6)})
    off: int = 1
    low: float = 0.25
    spread: float = 1.0
    output: str = "float[A,B,C,D]"

    def __str__(self) -> str:
        sizes = " ".join(",".join(map(str, a.shape)) for a in (*self.weights.values(), *map(np.empty, self.shapes.values())))
        return f"{self.body} [{sizes}]"

    @property
    def text(self) -> str:
        """The graph as onnx writes it."""
        inputs = ", ".join(f"float[{','.join(map(str, shape))}] {name}" for name, shape in self.shapes.items())
        return f"g ({inputs}) => ({self.output} y) {{ {self.body} }}"


def ints(*values: int) -> Array:
    """A constant of sizes."""
    return np.asarray(values, np.int64)


def real(*values: float) -> Array:
    """A constant of reals; a scalar where there is one."""
    return np.asarray(values if len(values) > 1 else values[0], np.float32)


def _conv(attributes: str, *weight: int, bias: bool = False, x: Shape = (1, 4, 7, 6), output: str = "float[A,B,C,D]") -> Form:
    weights = {"w": normal(*weight), **({"b": normal(weight[0], seed=1)} if bias else {})}
    return Form("Conv", f"y = Conv{attributes}(x, w{', b' if bias else ''})", weights, {"x": x}, output=output)


def _transposed(attributes: str, *weight: int, bias: bool = False) -> Form:
    weights = {"w": normal(*weight), **({"b": normal(weight[1], seed=1)} if bias else {})}
    return Form("ConvTranspose", f"y = ConvTranspose{attributes}(x, w{', b' if bias else ''})", weights, {"x": (1, 4, 5, 6)})


def _moves(op: str, call: str, output: str = "float[A,B,C,D]", x: Shape = (1, 4, 7, 6), **constants: Array) -> Form:
    return Form(op, f"y = {op}{call}", constants, {"x": x}, off=0, output=output)


def _table(op: str, low: float = 0.25, call: str = "(x)", **constants: Array) -> Form:
    return Form(op, f"y = {op}{call}", constants, low=low)


def _two(
    op: str, a: Shape, b: Shape, output: str = "float[A,B,C,D]", attributes: str = "", off: int = 1, low: float = 0.25
) -> Form:
    return Form(op, f"y = {op}{attributes}(a, b)", shapes={"a": a, "b": b}, output=output, off=off, low=low)


def _pool(
    attributes: str, *kernel: int, op: str = "AveragePool", x: Shape = (1, 4, 7, 6), output: str = "float[A,B,C,D]"
) -> Form:
    sizes = ",".join(map(str, kernel))
    body = f"y = {op}<kernel_shape=[{sizes}]{', ' if attributes else ''}{attributes}>(x)"
    return Form(op, body, shapes={"x": x}, off=int(op == "AveragePool"), output=output)


NEAREST = 'mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"'
FULL, ROW = (1, 4, 7, 6), (1, 1, 1, 6)
# A sum is rounded once, on either side of a half where float32 rounds it: one code. A gate that is rounded on the way adds one.
FORMS = [
    _conv("", 8, 4, 3, 3),
    _conv("<pads=[1,1,1,1], strides=[2,2]>", 8, 4, 3, 3, bias=True),
    _conv("<pads=[0,1,2,0]>", 5, 4, 2, 3, bias=True),
    _conv("<dilations=[2,3]>", 8, 4, 3, 2),
    _conv("<group=2>", 6, 2, 3, 3, bias=True),
    _conv("<group=4>", 4, 1, 3, 3, bias=True),
    _conv("<group=4, pads=[1,1,1,1]>", 12, 1, 3, 3),
    _conv("<group=4, dilations=[2,2], strides=[2,1]>", 8, 1, 2, 2),
    _conv("<auto_pad=\"SAME_UPPER\">", 8, 4, 2, 2),
    _conv("<pads=[1,1]>", 8, 4, 3, x=(2, 4, 9), output="float[A,B,C]"),
    Form("Conv", "y = Conv<pads=[1,1,1,1]>(a, b)", shapes={"a": (1, 4, 7, 6), "b": (5, 4, 3, 3)}),
    _conv("", 3, 2, 2, 2, 2, bias=True, x=(1, 2, 4, 5, 3), output="float[A,B,C,D,E]"),
    _transposed("<strides=[2,2]>", 4, 3, 2, 2, bias=True),
    _transposed("<strides=[2,2], pads=[1,1,1,1], output_padding=[1,1]>", 4, 3, 3, 3),
    _transposed("<strides=[3,3], pads=[1,0,0,1]>", 4, 2, 5, 5),
    _transposed("", 4, 3, 3, 3, bias=True),
    Form(
        "ConvTranspose",
        "y = ConvTranspose<strides=[2,1,2], pads=[0,0,1,0,0,1]>(x, w, b)",
        {"w": normal(4, 3, 2, 2, 3), "b": normal(3, seed=1)},
        {"x": (1, 4, 3, 4, 3)},
        output="float[A,B,C,D,E]",
    ),
    Form("Gemm", "y = Gemm(x, w, b)", {"w": normal(12, 7), "b": normal(7)}, {"x": (5, 12)}, output="float[A,B]"),
    Form("Gemm", "y = Gemm<transB=1>(x, w)", {"w": normal(7, 12)}, {"x": (5, 12)}, output="float[A,B]"),
    Form("Gemm", "y = Gemm<beta=2.0>(x, w, b)", {"w": normal(12, 7), "b": normal(1)}, {"x": (5, 12)}, output="float[A,B]"),
    Form("MatMul", "y = MatMul(x, w)", {"w": normal(12, 7)}, {"x": (5, 12)}, output="float[A,B]"),
    Form("MatMul", "y = MatMul(x, w)", {"w": normal(12, 7)}, {"x": (2, 3, 5, 12)}),
    Form("MatMul", "y = MatMul(x, w)", {"w": normal(3, 12, 7)}, {"x": (2, 3, 5, 12)}),
    Form("MatMul", "y = MatMul(x, w)", {"w": normal(12)}, {"x": (3, 5, 12)}, output="float[A,B]"),
    Form("MatMul", "m = MatMul(x, w) y = Add(m, b)", {"w": normal(12, 7), "b": normal(7)}, {"x": (2, 3, 5, 12)}),
    _two("MatMul", (5, 12), (12, 7), "float[A,B]"),
    _two("MatMul", (2, 3, 5, 12), (2, 3, 12, 7)),
    _two("MatMul", (2, 1, 5, 12), (3, 12, 7)),
    _two("MatMul", (3, 5, 12), (12,), "float[A,B]"),
    *(_two(op, a, b) for op in ("Add", "Sub", "Mul") for a, b in ((FULL, FULL), (FULL, ROW), (ROW, FULL), (FULL, (1,)))),
    *(Form(op, f"y = {op}(x, c)", {"c": normal(4, 1, 1)}) for op in ("Add", "Mul")),
    *(Form(op, f"y = {op}(c, x)", {"c": real(0.75)}) for op in ("Add", "Mul")),
    # A constant that is taken off is mirrored and rounded anew, by up to half a code of its own.
    Form("Sub", "y = Sub(x, c)", {"c": normal(4, 1, 1)}, off=2),
    Form("Sub", "y = Sub(c, x)", {"c": normal(4, 1, 1)}),
    Form("Mul", "y = Mul(x, c)", {"c": real(-0.75)}),
    _two("Concat", FULL, (1, 2, 7, 6), attributes="<axis=1>"),
    Form("Concat", "s = Sigmoid(x) y = Concat<axis=2>(x, s)", off=1),
    Form("Concat", "y = Concat<axis=-1>(x, c, x)", {"c": normal(1, 4, 7, 1)}),
    _pool("", 3, 3),
    _pool("strides=[2,2]", 2, 2),
    _pool("pads=[1,1,1,1]", 3, 3),
    _pool("pads=[1,1,1,1], count_include_pad=1", 3, 3),
    _pool("pads=[1,0,0,1], count_include_pad=1, strides=[2,2]", 2, 3),
    _pool("ceil_mode=1, strides=[2,2]", 2, 2),
    _pool("ceil_mode=1, strides=[2,2], pads=[1,1,1,1]", 3, 3),
    _pool("ceil_mode=1, strides=[2,2], pads=[1,1,1,1], count_include_pad=1", 3, 3),
    _pool("ceil_mode=1, strides=[2,2], count_include_pad=1", 2, 2),
    _pool("dilations=[2,2]", 2, 2),
    _pool("dilations=[1,1], pads=[1,1,1,1]", 2, 2),
    _pool("dilations=[2,2], pads=[1,1,1,1]", 2, 2),
    _pool("dilations=[2,2], ceil_mode=1, strides=[2,2]", 2, 2),
    _pool("auto_pad=\"SAME_UPPER\", strides=[2,2]", 3, 3),
    _pool("pads=[1,1]", 3, x=(1, 4, 9), output="float[A,B,C]"),
    _pool("", 2, 2, 2, x=(1, 2, 4, 4, 4), output="float[A,B,C,D,E]"),
    _pool("", 3, 3, op="MaxPool"),
    _pool("ceil_mode=1, strides=[2,2], pads=[1,1,1,1]", 3, 3, op="MaxPool"),
    _pool("dilations=[2,2]", 2, 2, op="MaxPool"),
    _pool("pads=[1,1]", 3, op="MaxPool", x=(1, 4, 9), output="float[A,B,C]"),
    Form("GlobalAveragePool", "y = GlobalAveragePool(x)"),
    Form("GlobalMaxPool", "y = GlobalMaxPool(x)", off=0),
    Form("Relu", "y = Relu(x)", off=0),
    Form("Clip", "y = Clip(x, lo, hi)", {"lo": real(-0.5), "hi": real(0.7)}, off=0),
    Form("Clip", "y = Clip(x, lo)", {"lo": real(0.3)}, off=0),
    *(Form("LeakyRelu", f"y = LeakyRelu<alpha={alpha}>(x)") for alpha in (0.3, -0.3, 0.0)),
    Form("Sigmoid", "y = Sigmoid(x)"),
    Form("HardSigmoid", "y = HardSigmoid(x)"),
    Form("HardSigmoid", "y = HardSigmoid<alpha=0.3, beta=0.4>(x)"),
    Form("HardSwish", "y = HardSwish(x)", off=2),
    *(Form("Softmax", f"y = Softmax<axis={axis}>(x)") for axis in (-1, 1)),
    *map(_table, ("Tanh", "Abs", "Ceil", "Celu", "Cos", "Elu", "Erf", "Exp", "Floor", "Gelu", "Mish", "Neg")),
    *map(_table, ("Asinh", "Atan", "Cosh", "Sinh")),
    *(Form(op, f"y = {op}(x)", low=0.0, spread=0.2) for op in ("Acos", "Asin", "Atanh", "Tan")),
    Form("Acosh", "y = Acosh(x)", low=3.0, spread=0.4),
    _table("Shrink", call="<lambd=0.4, bias=0.1>(x)"),
    *map(_table, ("Round", "Selu", "Sign", "Sin", "Softplus", "Softsign", "ThresholdedRelu")),
    *(_table(op, 3.5) for op in ("Log", "Reciprocal", "Sqrt")),
    _table("Gelu", call='<approximate="tanh">(x)'),
    _table("Pow", 3.5, "(x, c)", c=real(0.5)),
    _table("Pow", call="(x, c)", c=real(2.0)),
    _table("Pow", 3.5, "(x, c)", c=np.abs(normal(4, 1, 1))),
    *(_two("Pow", a, b, low=3.5) for a, b in ((FULL, FULL), (ROW, FULL))),
    _moves("Flatten", "(x)", "float[A,B]"),
    _moves("Reshape", "(x, s)", "float[A,B,C]", s=ints(0, -1, 6)),
    _moves("Transpose", "<perm=[0,2,3,1]>(x)"),
    _moves("Squeeze", "(x, s)", "float[A,B,C]", s=ints(0)),
    _moves("Unsqueeze", "(x, s)", "float[A,B,C,D,E]", s=ints(2)),
    _moves("Slice", "(x, s, e, a, d)", s=ints(1, -1), e=ints(7, -9), a=ints(2, 3), d=ints(2, -1)),
    Form("Split", "p, y = Split<axis=1>(x, s)", {"s": ints(1, 3)}, off=0),
    _moves("Expand", "(x, s)", "float[A,B,C,D,E]", s=ints(2, 1, 4, 7, 6)),
    _moves("Tile", "(x, s)", s=ints(1, 1, 2, 3)),
    Form("Identity", "i = Identity(x) y = Relu(i)", off=0),
    _moves("DepthToSpace", "<blocksize=2>(x)"),
    _moves("DepthToSpace", '<blocksize=2, mode="CRD">(x)'),
    _moves("SpaceToDepth", "<blocksize=2>(x)", x=(1, 4, 8, 6)),
    _moves("Gather", "<axis=2>(x, i)", i=ints(3, 0, -1)),
    _moves("GatherElements", "<axis=3>(x, i)", i=np.tile(ints(5, 0, -2), (1, 4, 7, 1))),
    _moves("ReduceMax", "<keepdims=0>(x, a)", "float[A,B]", a=ints(2, 3)),
    _moves("ReduceMin", "(x, a)", a=ints(-1)),
    _moves("Pad", "(x, p)", p=ints(0, 0, 1, 2, 0, 1, 0, 1)),
    _moves("Pad", "(x, p, v)", p=ints(0, 0, 1, 2, 0, 1, 0, 1), v=real(9.0)),
    _moves("Pad", '<mode="reflect">(x, p)', p=ints(0, 0, 1, 2, 0, 0, 0, 1)),
    _moves("Pad", '<mode="edge">(x, p)', p=ints(0, 0, 1, -1, 0, 0, 0, 1)),
    _moves("Resize", f"<{NEAREST}>(x, , f)", f=real(1, 1, 2, 3)),
    _moves("Resize", '<mode="nearest">(x, , , s)', s=ints(1, 4, 5, 9)),
    _moves("Resize", '<mode="nearest">(x, r, f)', r=np.empty(0, np.float32), f=real(1, 1, 2, 2)),
    *(_moves(op, "<axis=1, keepdims=0>(x)", "int64[A,B,C]") for op in ("ArgMax", "ArgMin")),
    *(
        Form(op, f"d = {op}(a, b) y = Where(d, a, b)", {}, {"a": FULL, "b": ROW})
        for op in ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")
    ),
    Form("Greater", "d = Greater(x, c) y = Where(d, x, c)", {"c": real(0.3)}),
    Form(
        "ScatterElements",
        "y = ScatterElements<axis=1>(a, i, b)",
        {"i": ints(2, 0).reshape(1, 2, 1, 1)},
        {"a": FULL, "b": (1, 2, 1, 1)},
    ),
    Form("ScatterND", "y = ScatterND(a, i, b)", {"i": ints(0, 2).reshape(1, 2)}, {"a": FULL, "b": (1, 7, 6)}),
    _moves("GatherND", "(x, i)", "float[A,B,C]", i=ints(0, 2, 0, 1).reshape(2, 2)),
    _moves("ReverseSequence", "<batch_axis=0, time_axis=1>(x, l)", l=ints(3)),
    _moves("Compress", "<axis=2>(x, c)", c=np.asarray([True, False, True, True, False, False, True])),
    Form("Mod", "y = Mod<fmod=1>(x, c)", {"c": real(0.75)}, off=1, low=3.0),
    Form("Mod", "y = Mod<fmod=1>(x, c)", {"c": np.abs(normal(4, 1, 1)) + np.float32(0.5)}, off=1, low=3.0),
    *(Form(op, f"d = {op}(x) y = Where(d, c, x)", {"c": real(0.3)}, off=0) for op in ("IsNaN", "IsInf")),
    Form("TopK", "y, i = TopK<axis=1>(x, k)", {"k": ints(3)}, off=0),
    Form("TopK", "v, y = TopK<axis=-1, largest=0>(x, k)", {"k": ints(4)}, off=0, output="int64[A,B,C,D]"),
    Form("MaxPool", "v, y = MaxPool<kernel_shape=[2,3], strides=[2,1]>(x)", off=0, output="int64[A,B,C,D]"),
    *(_two(op, a, b) for op in ("Max", "Min") for a, b in ((FULL, FULL), (FULL, ROW))),
    Form("Max", "y = Max(x, c)", {"c": real(0.3)}),
    Form("Where", "y = Where(c, a, b)", {"c": normal(4, 1, 1) > 0}, {"a": FULL, "b": ROW}),
    Form("Where", "y = Where(c, x, d)", {"c": normal(7, 6) > 0, "d": real(0.5)}),
    Form("Div", "m = Max(b, c) y = Div(a, m)", {"c": real(0.5)}, {"a": FULL, "b": (1, 4, 7, 1)}, low=1.0),
    *(Form(op, f"y = {op}(x, a)", {"a": ints(axis)}) for op in ("ReduceSum", "ReduceMean") for axis in (1, -1)),
    Form("ReduceSum", "y = ReduceSum<keepdims=0>(x, a)", {"a": ints(0, 3)}, output="float[A,B]"),
    Form("ReduceMean", "y = ReduceMean<keepdims=0>(x, a)", {"a": ints(-2, -1)}, output="float[A,B]"),
    Form("Cast", "i = ArgMax<axis=1>(x) y = Cast<to=1>(i)"),
    *(Form("Cast", f"y = Cast<to={kind}>(x)", off=0, output=f"{name}[A,B,C,D]") for kind, name in ((6, "int32"), (7, "int64"))),
    Form("LayerNormalization", "y = LayerNormalization(x, g, b)", {"g": normal(6), "b": normal(6)}),
    Form("LayerNormalization", "y = LayerNormalization<axis=-1, epsilon=0.5>(x, g)", {"g": normal(6)}),
    Form(
        "SimplifiedLayerNormalization",
        "q = Mul(x, x) v = ReduceMean(q, a) w = Add(v, e) r = Sqrt(w) y = Div(x, r)",
        {"a": ints(-1), "e": real(1e-5)},
    ),
    # The weights are rounded to 8 bits here, and stay real in the op that they are held against.
    *(
        Form(
            op,
            f"y = {op}<hidden_size=4{more}>(x, w, r, b)",
            {"w": normal(1, 4 * n, 5) / 2, "r": normal(1, 4 * n, 4, seed=1) / 3, "b": normal(1, 8 * n, seed=2) / 3},
            {"x": (65, 2, 5)},
            off=3,
        )
        for op, n, more in (
            ("LSTM", 4, ""),
            ("LSTM", 4, ', direction="reverse", clip=3.0'),
            ("GRU", 3, ""),
            ("GRU", 3, ", linear_before_reset=1"),
            ("RNN", 1, ""),
        )
    ),
    Form("Shape", "r = Relu(x) y = Shape(r)", off=0, output="int64[A]"),
    Form("Size", "r = Relu(x) y = Size(r)", off=0, output="int64"),
]  # fmt: skip
