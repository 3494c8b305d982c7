"""Further situations of docs/situations.md: ordinary graphs, and what only verification shows."""

from __future__ import annotations

import numpy as np

from benchmarks.situation import (
    PICTURES,
    ROWS,
    SAMPLES,
    SPREAD,
    TOKENS,
    Situation,
    minus_one,
    normal,
    optimized,
    pictures,
    rows,
    sparse,
    tokens,
    unlike_channels,
)

FURTHER: dict[str, Situation] = {
    "difference that nearly cancels": Situation(
        f"({ROWS}) => (float[N,4] y) {{ a = Sub(x, c) y = MatMul(a, w) }}",
        lambda: rows() + np.float32(300),
        {"c": np.asarray(300, np.float32), "w": normal(16, 4)},
    ),
    "state joined and taken apart": Situation(
        f"({ROWS}) => (float[N,8] y, float[N,8] z) {{ a = MatMul(x, w) h = Tanh(a) b = MatMul(x, v) c = Concat<axis=1>(h, b) "
        "r = Reshape(c, pair) t = Transpose<perm=[1,0,2]>(r) y = Gather<axis=0>(t, first) z = Gather<axis=0>(t, second) }",
        rows,
        {
            "w": normal(16, 8),
            "v": 500 * normal(16, 8, seed=1),
            "pair": np.asarray([0, 2, 8]),
            "first": np.asarray(0),
            "second": np.asarray(1),
        },
    ),
    "dilated pool of clipped windows": Situation(
        f"({PICTURES}) => (float[N,4,P,Q] y) {{ y = AveragePool<kernel_shape=[3,3], strides=[2,2], "
        f"dilations=[2,2], ceil_mode=1>(x) }}",
        pictures,
        opset=19,
    ),
    "transposed convolution in groups, with a bias": Situation(
        f"({PICTURES}) => (float[N,6,P,Q] y) {{ y = ConvTranspose<group=2, strides=[2,2]>(x, w, b) }}",
        pictures,
        {"w": normal(4, 3, 3, 3), "b": normal(6)},
    ),
    "transposed depthwise convolution of strides": Situation(
        f"({PICTURES}) => (float[N,4,P,Q] y) {{ c = ConvTranspose<group=4, strides=[2,2]>(x, w) y = Relu(c) }}",
        pictures,
        {"w": normal(4, 1, 4, 4) * SPREAD.reshape(4, 1, 1, 1)},
        axis=1,
    ),
    "8-bit classes as an output": Situation(
        f"({PICTURES}) => (uint8[N,P,Q] y) {{ c = Conv(x, w) a = ArgMax<axis=1, keepdims=0>(c) y = Cast<to=2>(a) }}",
        pictures,
        {"w": normal(4, 4, 3, 3)},
        verify=True,
    ),
    "mask by a choice": Situation(
        f"({TOKENS}) => (float[N,32,16] y) {{ t = Transpose<perm=[0,2,1]>(x) s = MatMul(x, t) m = "
        f"Where(seen, s, low) p = Softmax(m) "
        "y = MatMul(p, x) }",
        tokens,
        {"seen": np.tri(32, dtype=bool), "low": np.asarray(-np.inf, np.float32)},
    ),
    "mask that is an input": Situation(
        f"({TOKENS}) => (float[N,32,16] y) {{ one, g = Split<axis=2>(x, parts) o = Abs(one) k = Greater(o, level) r = "
        "Transpose<perm=[0,2,1]>(k) t = Transpose<perm=[0,2,1]>(x) s = MatMul(x, t) m = Where(r, low, "
        "s) p = Softmax(m) y = MatMul(p, x) }",
        tokens,
        {"parts": np.asarray([1, 15]), "level": np.asarray(2, np.float32), "low": np.asarray(-3.4e38, np.float32)},
    ),
    "channels of unlike size before SiLU": Situation(
        f"({PICTURES}) => (float[N,4,P,Q] y) {{ c = Conv(x, w) s = Sigmoid(c) m = Mul(c, s) d = "
        f"Conv<group=4>(m, v) y = Conv(d, u) }}",
        pictures,
        unlike_channels(),
    ),
    "detector that decodes its boxes": Situation(
        f"({PICTURES}) => (float[N,100,4] y) {{ c = Conv(x, w, b) r = Reshape(c, rows) t = "
        f"Transpose<perm=[0,2,1]>(r) s = Sigmoid(t) "
        "xy, k = Split<axis=2>(s, parts) a = Add(xy, grid) z = Mul(a, stride) y = Concat<axis=2>(z, k) }",
        pictures,
        {
            "w": normal(4, 4, 1, 1),
            "b": np.asarray([0, 0, -3, -3], np.float32),
            "rows": np.asarray([0, 4, 100]),
            "parts": np.asarray([2, 2]),
            "stride": np.asarray(8, np.float32),
            "grid": np.stack(np.meshgrid(np.arange(10), np.arange(10)), -1).reshape(1, 100, 2).astype(np.float32),
        },
        axis=2,
    ),
    "maximum that hides a layer's noise": Situation(
        f"({PICTURES}) => (float[N,5] y) {{ c = Conv(x, w, b) r = ReduceMax<axes=[2,3], keepdims=0>(c) y = MatMul(r, v) }}",
        pictures,
        {"w": normal(5, 4, 3, 3), "b": normal(5), "v": normal(5, 5, seed=2)},
        verify=True,
    ),
    "island between two clamps": Situation(
        f"({PICTURES}) => (float[N,4,10,10] y) {{ a = Max(x, k) c = Conv(x, w) b = Max(x, c) m = Mul(a, "
        f"b) s = Sub(m, e) r = Relu(s) "
        "y = Conv(r, w) }",
        pictures,
        {"k": normal(1, 4, 1, 1), "w": normal(4, 4, 1, 1, seed=4), "e": np.asarray(0.5, np.float32)},
        verify=True,
    ),
    "model that onnxruntime optimized": Situation(
        f"({PICTURES}) => (float[N,4,P,Q] y) {{ c = Conv(x, w) r = Relu(c) d = Conv(r, v) y = LeakyRelu(d) }}",
        pictures,
        {"w": normal(4, 4, 3, 3), "v": normal(4, 4, 3, 3, seed=1)},
        change=optimized,
    ),
    "GELU of com.microsoft": Situation(
        f"({ROWS}) => (float[N,16] y) {{ a = MatMul(x, w) y = com.microsoft.Gelu(a) }}",
        rows,
        {"w": normal(16, 16)},
    ),
    "product with a bias of one number": Situation(
        f"({TOKENS}) => (float[N,32,1] y) {{ t = MatMul(x, w) y = Add(t, e) }}",
        tokens,
        {"w": normal(16, 1), "e": np.asarray(0.3, np.float32)},
    ),
    "batch norms beside a convolution": Situation(
        f"({PICTURES}) => (float[N,4,10,10] y, float[N,4,P,Q] z) {{ y = BatchNormalization(x, s, b, m, v) "
        'c = Conv<auto_pad="SAME_LOWER", kernel_shape=[3,3]>(x, w) z = BatchNormalization(c, s, b, m, v) }',
        pictures,
        {"w": normal(4, 4, 3, 3), "s": np.abs(normal(4)) + 1, "b": normal(4), "m": normal(4), "v": np.abs(normal(4)) + 1},
    ),
    "output that is a constant": Situation(
        f"({PICTURES}) => (float[N,4,P,Q] y, float[4] z) {{ s = Shape(x) z = Cast<to=1>(s) y = ConvTranspose(x, w) }}",
        pictures,
        {"w": normal(4, 4, 3, 3)},
    ),
    "Squeeze without axes": Situation(
        f"({PICTURES}) => (float[N,P,Q] y) {{ c = Conv(x, w) y = Squeeze(c) }}",
        pictures,
        {"w": normal(1, 4, 3, 3)},
    ),
    "group norm of free sizes": Situation(
        "(float[N,4,H,W] x) => (float[N,4,H,W] y) { s = Shape(x) r = Reshape(x, groups) n = "
        "InstanceNormalization(r, one, zero) "
        "b = Reshape(n, s) m = Mul(b, k) y = Add(m, e) }",
        pictures,
        {
            "groups": np.asarray([0, 2, -1]),
            "one": np.ones(2, np.float32),
            "zero": np.zeros(2, np.float32),
            "k": normal(4, 1, 1),
            "e": normal(4, 1, 1, seed=1),
        },
    ),
    "Resize along some axes": Situation(
        f'({PICTURES}) => (float[N,4,20,20] y) {{ y = Resize<mode="linear", axes=[2,3]>(x, , s) }}',
        pictures,
        {"s": np.asarray([2, 2], np.float32)},
        opset=19,
    ),
    "power by channel": Situation(
        f"({PICTURES}) => (float[N,4,10,10] y) {{ a = Sigmoid(x) u = Pow(a, c) y = Conv(u, w) }}",
        pictures,
        {"c": np.asarray([0.5, 1, 2, 3], np.float32).reshape(4, 1, 1), "w": normal(4, 4, 1, 1)},
    ),
    "tensor without elements": Situation(
        f"({ROWS}) => (float[N,16] y) {{ e = Slice(x, zero, zero, one) m = Mul(e, e) y = Concat<axis=1>(x, m) }}",
        rows,
        {"zero": np.asarray([0]), "one": np.asarray([1])},
    ),
    "Pad that reflects, with a value": Situation(
        f'({PICTURES}) => (float[N,4,P,Q] y) {{ p = Pad<mode="reflect">(x, pads, v) y = Conv(p, w) }}',
        pictures,
        {"pads": np.asarray([0, 0, 1, 1, 0, 0, 1, 1]), "v": np.asarray(0, np.float32), "w": normal(4, 4, 3, 3)},
    ),
    "product beyond int32": Situation(
        f"({ROWS}) => (float[N,16] y) {{ a = Mul(x, k) b = Relu(a) m = Mul(b, a) y = Clip(m, low, high) }}",
        rows,
        {"k": np.asarray(1000, np.float32), "low": np.asarray(0, np.float32), "high": np.asarray(1, np.float32)},
        verify=True,
    ),
    "token that the model has not": Situation(
        "(int64[N,4] x) => (float[N,4,8] y) { g = Gather(t, x) y = MatMul(g, w) }",
        lambda: np.full((SAMPLES, 4), 99),
        {"t": normal(10, 8), "w": normal(8, 8)},
    ),
    "size of minus one": Situation(
        f"({PICTURES}) => (float[N,4,P,Q] y) {{ y = Conv(x, w) }}",
        pictures,
        {"w": normal(4, 4, 3, 3)},
        change=minus_one,
    ),
    "declared shape that is wrong": Situation(
        f"({PICTURES}) => (float[N,7] y) {{ c = Conv(x, w) y = Reshape(c, rows) }}",
        pictures,
        {"w": normal(4, 4, 3, 3), "rows": np.asarray([0, -1])},
    ),
    "state of zeros": Situation(
        "(float[N,2,16] x) => (float[N,16] y) { s = Shape(x) n = Gather(s, zero) q = Concat<axis=0>(n, "
        "width) h = ConstantOfShape(q) "
        "f = Gather<axis=1>(x, i) g = Gather<axis=1>(x, j) a = MatMul(f, w) b = MatMul(h, u) c = Add(a, b) k = Tanh(c) "
        "d = MatMul(g, w) e = MatMul(k, u) o = Add(d, e) y = Tanh(o) }",
        lambda: normal(SAMPLES, 2, 16),
        {
            "zero": np.asarray([0]),
            "width": np.asarray([16]),
            "i": np.asarray(0),
            "j": np.asarray(1),
            "w": normal(16, 16) / 4,
            "u": normal(16, 16, seed=1) / 4,
        },
    ),
    "weight of several layers": Situation(
        "(float[N,64] x) => (float[N,64] y) { a = MatMul(x, w) b = Relu(a) c = MatMul(b, w) d = Relu(c) "
        "e = MatMul(d, w) y = Relu(e) }",
        lambda: normal(SAMPLES, 64),
        {"w": normal(64, 64) / 6},
        size=True,
    ),
    "tokens in float32": Situation(
        "(float[N,6] x) => (float[N,4] y) { i = Cast<to=7>(x) e = Gather(table, i) m = ReduceMean<axes=[1], keepdims=0>(e) "
        "y = MatMul(m, w) }",
        lambda: np.random.default_rng(0).integers(0, 1000, (SAMPLES, 6)).astype(np.float32),
        {"table": normal(1000, 8), "w": normal(8, 4)},
    ),
    "lengths that are predicted": Situation(
        f"({ROWS}) => (float[N,4] y) {{ a = MatMul(x, w) f = Softplus(a) c = Ceil(f) i = Cast<to=7>(c) e = Gather(table, i) "
        "m = ReduceMean<axes=[1], keepdims=0>(e) y = MatMul(m, v) }",
        rows,
        {"w": normal(16, 6), "table": normal(64, 8), "v": normal(8, 4)},
    ),
    "logarithm of shares": Situation(
        f"({ROWS}) => (float[N,16] y) {{ a = MatMul(x, w) p = Softmax(a) y = Log(p) }}", rows, {"w": 2 * normal(16, 16)}
    ),
    "mask of float32's lowest": Situation(
        f"({TOKENS}) => (float[N,32,16] y) {{ t = Transpose<perm=[0,2,1]>(x) s = MatMul(x, t) h = ReduceMax<axes=[1]>(t) "
        "k = Greater(h, zero) f = Cast<to=1>(k) i = Sub(one, f) b = Mul(i, low) a = Add(s, b) p = Softmax(a) y = MatMul(p, x) }",
        lambda: np.where(np.arange(32)[:, None] < 24, tokens(), -1 - np.abs(tokens())),  # the last tokens are masked
        {
            "zero": np.asarray(0, np.float32),
            "one": np.asarray(1, np.float32),
            "low": np.asarray(np.finfo(np.float32).min),
        },
    ),
    "temperatures in kelvin": Situation(
        "(float[N,4,10,10] x) => (float[N,1,8,8] y) { c = Conv(x, w) r = Relu(c) y = Conv(r, v, b) }",
        lambda: normal(SAMPLES, 4, 10, 10),
        {"w": normal(8, 4, 3, 3) / 4, "v": normal(1, 8, 1, 1) / 2, "b": np.asarray([293], np.float32)},
    ),
    "maximum over valid places": Situation(
        "(float[N,4,10,10] x) => (float[N,4] y) { c = Conv(x, w) m = Where(gone, infinity, c) "
        "y = ReduceMax<axes=[2,3], keepdims=0>(m) }",
        lambda: normal(SAMPLES, 4, 10, 10),
        {
            "w": normal(4, 4, 1, 1),
            "gone": np.arange(100).reshape(1, 1, 10, 10) % 3 == 0,
            "infinity": np.asarray(-np.inf, np.float32),
        },
    ),
    "probabilities near one": Situation(
        f"({ROWS}) => (float[N,4] y) {{ a = MatMul(x, w) b = Add(a, c) s = Sigmoid(b) y = Relu(s) }}",
        rows,
        {"w": normal(16, 4) / 4, "c": np.asarray(6, np.float32)},
    ),
    "sparse weight": Situation(
        f"({ROWS}) => (float[N,8] y) {{ a = MatMul(x, w) y = Relu(a) }}",
        rows,
        {"w": np.where(np.arange(128).reshape(16, 8) % 3 == 0, normal(16, 8), 0).astype(np.float32)},
        change=sparse,
    ),
    "pair in a branch": Situation(
        f"({ROWS}) => (float[N,8] y) {{ a = MatMul(x, w) y = If(yes) <then_branch = t () => (float[N,8] b) "
        "{ q = QuantizeLinear(a, step, zero) b = DequantizeLinear(q, step, zero) }, "
        "else_branch = e () => (float[N,8] d) { d = Neg(a) }> }",
        rows,
        {
            "w": normal(16, 8),
            "yes": np.asarray(True),
            "step": np.asarray(0.1, np.float32),
            "zero": np.asarray(128, np.uint8),
        },
    ),
    "pair with a step for each channel": Situation(
        f"({PICTURES}) => (float[N,4,P,Q] y) {{ c = Conv(x, w) r = Relu(c) q = QuantizeLinear(r, steps, zeros) "
        "d = DequantizeLinear(q, steps, zeros) y = Conv<group=4>(d, v) }",
        pictures,
        {
            "w": normal(4, 4, 1, 1) * SPREAD.reshape(4, 1, 1, 1),
            "steps": 0.05 * SPREAD.reshape(4),
            "zeros": np.zeros(4, np.uint8),
            "v": normal(4, 1, 3, 3, seed=1) / SPREAD.reshape(4, 1, 1, 1),
        },
    ),
    "factor behind a pair": Situation(
        f"({PICTURES}) => (float[N,4,P,Q] y) {{ c = Conv(x, w) q = QuantizeLinear(c, step, zero) "
        "d = DequantizeLinear(q, step, zero) y = Mul(d, each) }",
        pictures,
        {
            "w": normal(4, 4, 1, 1),
            "step": np.asarray(0.1, np.float32),
            "zero": np.asarray(128, np.uint8),
            "each": np.linspace(0.02, 0.2, 4, dtype=np.float32).reshape(4, 1, 1),
        },
    ),
}
