"""Which tensors may have a scale for each channel, and which channels go together."""

from __future__ import annotations

from pathlib import Path

import pytest

from qconv import pipeline
from qconv.recover.channels.classes import ChannelClasses
from tests.lower.harness import normal, write_model

W, D, V = normal(4, 3, 3, 3), normal(4, 1, 3, 3), normal(5, 4, 1, 1)

FREE = {
    "relu": ("g (float[1,3,8,8] x) => (float[1,4,4,4] y) { a = Conv(x, w) r = Relu(a) y = Conv<group=4>(r, d) }", {"a", "r"}),
    "pool": (
        "g (float[1,3,8,8] x) => (float[1,5,5,5] y) { a = Conv(x, w) p = MaxPool<kernel_shape=[2,2]>(a) y = Conv(p, v) }",
        {"a", "p"},
    ),
    "square": ("g (float[1,3,8,8] x) => (float[1,5,6,6] y) { a = Conv(x, w) m = Mul(a, a) y = Conv(m, v) }", set()),
    "gate": (
        "g (float[1,3,8,8] x) => (float[1,5,6,6] y) { a = Conv(x, w) s = Sigmoid(a) m = Mul(a, s) y = Conv(m, v) }",
        {"a", "m"},
    ),
    "hard swish": ("g (float[1,3,8,8] x) => (float[1,5,6,6] y) { a = Conv(x, w) m = HardSwish(a) y = Conv(m, v) }", {"a", "m"}),
    "rows": (
        "g (float[1,3,4,4] x) => (float[1,2] y) { a = Conv(x, w) f = Flatten(a) y = MatMul(f, m) }",
        {"a", "f"},
    ),
    "read in float": ("g (float[1,3,8,8] x) => (float[1,4,6,6] y) { a = Conv(x, w) y = Softmax(a) }", set()),
    "an output": ("g (float[1,3,8,8] x) => (float[1,4,6,6] y) { y = Conv(x, w) }", set()),
    "clamp without zero": (
        "g (float[1,3,8,8] x) => (float[1,5,6,6] y) <float one = {1.0}> { a = Conv(x, w) c = Clip(a, one) y = Conv(c, v) }",
        set(),
    ),
}


@pytest.mark.parametrize("name", FREE)
def test_tensors_that_may_have_factors(name: str, tmp_path: Path) -> None:
    text, expected = FREE[name]
    weights = {key: array for key, array in {"w": W, "d": D, "v": V, "m": normal(16, 2)}.items() if f" {key})" in text}
    graph = pipeline.load_prepared(write_model(tmp_path / "m.onnx", text, weights)).ir.graph
    assert {str(value.name) for value in ChannelClasses(graph, {}).values} == expected


def test_a_sum_joins_classes_and_a_concat_puts_them_in_a_row(tmp_path: Path) -> None:
    text = """g (float[1,3,8,8] x) => (float[1,2,6,6] y) {
        a = Conv(x, w)
        b = Conv(x, u)
        s = Add(a, b)
        c = Concat<axis=1>(s, a)
        y = Conv(c, v)
    }"""
    weights = {"w": W, "u": normal(4, 3, 3, 3, seed=1), "v": normal(2, 8, 1, 1)}
    graph = pipeline.load_prepared(write_model(tmp_path / "m.onnx", text, weights)).ir.graph
    found = {str(value.name): channels.ids.tolist() for value, channels in ChannelClasses(graph, {}).channels.items()}
    assert found["a"] == found["b"] == found["s"]
    assert found["c"] == found["s"] + found["a"]
    assert len(set(found["a"])) == 4
