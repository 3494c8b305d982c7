"""Parts of inputs and outputs that differ in range have scales of their own, and the model is integer-only all the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qconv.config import QuantConfig
from qconv.pipeline.prepared import prepared
from qconv.plan.apart import leaving_apart, moving_ends
from tests.lower.harness import Result, normal, quantize_graph, write_model

WEIGHTS = {"w": normal(4, 4, 1, 1, seed=1), "v": normal(4, 4, 1, 1, seed=2), "c": np.full((1, 4, 1, 1), 500, np.float32)}
LARGE_AND_SMALL = "a = Conv(x, w) b = Mul(a, c) d = Conv(x, v) s = Sigmoid(d)"
FEEDS = [{"x": normal(1, 4, 6, 6, seed=seed)} for seed in range(4)]


def parts_db(result: Result, axis: int = 1) -> list[float]:
    """The SQNR of both halves of the output along an axis."""
    from qconv.model.session import open_session

    sessions = open_session(result.path), open_session(result.quantized.model)
    pairs = [[np.split(s.run(None, dict(feed))[0].astype(np.float64), 2, axis) for s in sessions] for feed in result.feeds]
    found = []
    for half in range(2):
        signal = sum(np.square(a[half]).sum() for a, _ in pairs)
        noise = sum(np.square(a[half] - b[half]).sum() for a, b in pairs)
        found.append(float(10 * np.log10(signal / noise)))
    return found


@pytest.mark.parametrize(
    ("tail", "shape", "axis"),
    [
        ("y = Concat<axis=1>(b, s)", "1,8,6,6", 1),
        ("j = Concat<axis=1>(b, s) y = Transpose<perm=[0,2,3,1]>(j)", "1,6,6,8", 3),
        ("j = Concat<axis=1>(b, s) i = Concat<axis=1>(j, s, b) y = Flatten(i)", "1,576", 1),
    ],
)
def test_unlike_parts_leave_apart(tmp_path: Path, tail: str, shape: str, axis: int) -> None:
    text = f"g (float[1,4,6,6] x) => (float[{shape}] y) {{ {LARGE_AND_SMALL} {tail} }}"
    result = quantize_graph(tmp_path, text, WEIGHTS, FEEDS, config=QuantConfig(integer_only=True))
    assert result.quantized.audit.integer_only
    assert result.quantized.plan.apart
    result.assert_exact()
    if "s, b" not in tail:
        assert min(parts_db(result, axis)) > 25


def test_an_input_that_is_taken_apart_is_quantized_behind(tmp_path: Path) -> None:
    body = """h = Slice(x, zero, one, axis) g = Slice(x, one, two, axis)
        p = Conv(h, w) q = Conv(g, v) y = Concat<axis=1>(p, q)"""
    ends = {name: np.asarray([value], np.int64) for name, value in (("zero", 0), ("one", 4), ("two", 8), ("axis", 1))}
    scale = np.asarray([1e-3] * 4 + [10.0] * 4, np.float32).reshape(1, 8, 1, 1)
    feeds = [{"x": normal(1, 8, 6, 6, seed=seed) * scale} for seed in range(4)]
    text = f"g (float[1,8,6,6] x) => (float[1,8,6,6] y) {{ {body} }}"
    result = quantize_graph(tmp_path, text, WEIGHTS | ends, feeds, config=QuantConfig(integer_only=True))
    assert result.quantized.audit.integer_only
    result.assert_exact()
    assert min(parts_db(result)) > 25


def test_alike_parts_stay_together(tmp_path: Path) -> None:
    text = "g (float[1,4,6,6] x) => (float[1,8,6,6] y) { a = Conv(x, w) d = Conv(x, v) y = Concat<axis=1>(a, d) }"
    result = quantize_graph(tmp_path, text, WEIGHTS, FEEDS)
    assert not result.quantized.plan.apart
    assert "Concat" in result.ops


def test_outputs_as_codes_have_one_scale(tmp_path: Path) -> None:
    text = f"g (float[1,4,6,6] x) => (float[1,8,6,6] y) {{ {LARGE_AND_SMALL} y = Concat<axis=1>(b, s) }}"
    result = quantize_graph(tmp_path, text, WEIGHTS, FEEDS, config=QuantConfig(io="uint8"))
    assert not result.quantized.plan.apart


def test_a_concat_that_is_computed_with_is_no_end(tmp_path: Path) -> None:
    text = f"g (float[1,4,6,6] x) => (float[1,8,6,6] y) {{ {LARGE_AND_SMALL} j = Concat<axis=1>(b, s) y = Abs(j) }}"
    graph = prepared(write_model(tmp_path / "m.onnx", text, WEIGHTS)).ir.graph
    assert moving_ends(graph, {}) == []
    assert leaving_apart(graph, {}, lambda value: 1.0 if value.name == "s" else 1e6) == {}
