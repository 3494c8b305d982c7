"""The situations of docs/situations.md, by name."""

from __future__ import annotations

import numpy as np

from benchmarks.further_situations import FURTHER
from benchmarks.situation import (
    MASK,
    PICTURES,
    ROWS,
    SAMPLES,
    SPREAD,
    TOKENS,
    Situation,
    normal,
    one_in_ten,
    pictures,
    rows,
    tokens,
    unlike_channels,
)

_FIRST: dict[str, Situation] = {
    "pool of clipped windows": Situation(
        f"({PICTURES}) => (float[N,4,P,Q] y) {{ y = AveragePool<kernel_shape=[3,3], strides=[2,2], "
        f"pads=[1,1,1,1], ceil_mode=1, "
        "count_include_pad=1>(x) }",
        pictures,
        opset=19,
    ),
    "grouped transposed convolution": Situation(
        f"({PICTURES}) => (float[N,4,P,Q] y) {{ y = ConvTranspose<group=4>(x, w) }}",
        pictures,
        {"w": normal(4, 1, 3, 3) * SPREAD.reshape(4, 1, 1, 1)},
        axis=1,
    ),
    "channels of unlike size": Situation(
        f"({PICTURES}) => (float[N,4,P,Q] y) {{ c = Conv(x, w) r = Relu(c) d = Conv<group=4>(r, v) y = Conv(d, u) }}",
        pictures,
        unlike_channels(),
    ),
    "mask of -10000": Situation(
        f"({TOKENS}) => (float[N,32,16] y) {{ t = Transpose<perm=[0,2,1]>(x) s = MatMul(x, t) m = Add(s, "
        f"mask) p = Softmax(m) "
        "y = MatMul(p, x) }",
        tokens,
        {"mask": np.maximum(MASK, np.float32(-1e4))},
    ),
    "mask of infinities": Situation(
        f"({TOKENS}) => (float[N,32,16] y) {{ t = Transpose<perm=[0,2,1]>(x) s = MatMul(x, t) m = Add(s, "
        f"mask) p = Softmax(m) "
        "y = MatMul(p, x) }",
        tokens,
        {"mask": MASK},
    ),
    "attention of nearly equal tokens": Situation(
        "(float[N,256,8] x) => (float[N,256,8] y) { t = Transpose<perm=[0,2,1]>(x) s = MatMul(x, t) d = "
        "Mul(s, c) p = Softmax(d) "
        "y = MatMul(p, x) }",
        lambda: normal(SAMPLES, 256, 8) + np.float32(1),
        {"c": np.asarray(0.1, np.float32)},
    ),
    "logarithm of a wide range": Situation(
        f"({ROWS}) => (float[N,16] y) {{ y = Log(x) }}", lambda: np.exp(3 * normal(SAMPLES, 16))
    ),
    "logarithm of energies": Situation(
        f"({TOKENS}) => (float[N,32,6] y) {{ s = Mul(x, x) m = MatMul(s, w) e = Add(m, f) y = Log(e) }}",
        lambda: one_in_ten(SAMPLES, 32, 16).astype(np.float32),
        {"w": np.abs(normal(16, 6)), "f": np.asarray(1e-5, np.float32)},
    ),
    "cosine of wide angles": Situation(f"({ROWS}) => (float[N,16] y) {{ y = Cos(x) }}", lambda: 200 * rows()),
    "quotient by an exponential": Situation(
        f"({ROWS}) => (float[N,16] y) {{ a = Exp(x) b = MatMul(x, w) y = Div(b, a) }}", rows, {"w": normal(16, 16, seed=1)}
    ),
    "sigmoid of low values": Situation(f"({ROWS}) => (float[N,16] y) {{ y = Sigmoid(x) }}", lambda: rows() - np.float32(6)),
    "state of two scales": Situation(
        f"({ROWS}) => (float[N,8] y, float[N,8] z) {{ a = MatMul(x, w) y, z = Split<axis=1>(a, parts) }}",
        rows,
        {"w": normal(16, 16) * np.where(np.arange(16) < 8, 300, 1).astype(np.float32), "parts": np.asarray([8, 8])},
    ),
    "boxes beside scores": Situation(
        f"({TOKENS}) => (float[N,32,8] y) {{ b = MatMul(x, w) c = MatMul(x, v) s = Sigmoid(c) y = Concat<axis=2>(b, s) }}",
        tokens,
        {"w": 100 * normal(16, 4), "v": normal(16, 4, seed=1)},
        axis=2,
    ),
    "input far from zero": Situation(
        f"({PICTURES}) => (float[N,4,P,Q] y) {{ y = Conv(x, w) }}",
        lambda: pictures() + np.float32(300),
        {"w": (w := normal(4, 4, 3, 3)) - w.mean(axis=(1, 2, 3), keepdims=True)},
    ),
    "8-bit input": Situation(
        "(uint8[N,4,10,10] x) => (float[N,4,P,Q] y) { f = Cast<to=1>(x) y = Conv(f, w) }",
        lambda: np.random.default_rng(0).integers(0, 256, (SAMPLES, 4, 10, 10)).astype(np.uint8),
        {"w": normal(4, 4, 3, 3)},
    ),
    "padding beyond a fixed range": Situation(
        f"({PICTURES}) => (float[N,4,P,Q] y) {{ s = Sigmoid(x) y = Pad(s, pads, three) }}",
        pictures,
        {"pads": np.asarray([0, 0, 1, 1, 0, 0, 1, 1]), "three": np.asarray(3, np.float32)},
    ),
    "Hardmax of opset 10": Situation(
        "(float[N,3,5] x) => (float[N,3,5] y) { y = Hardmax<axis=1>(x) }", lambda: normal(SAMPLES, 3, 5), opset=10
    ),
    "linear Upsample of opset 9": Situation(
        f'({PICTURES}) => (float[N,4,P,Q] y) {{ y = Upsample<mode="linear">(x, scales) }}',
        pictures,
        {"scales": np.asarray([1, 1, 2, 2], np.float32)},
        opset=9,
    ),
    "Softmax over one element": Situation(
        "(float[N,16,1] x) => (float[N,16,1] y) { s = Softmax<axis=2>(x) y = Mul(s, x) }", lambda: normal(SAMPLES, 16, 1)
    ),
}

SITUATIONS = {**_FIRST, **FURTHER}
