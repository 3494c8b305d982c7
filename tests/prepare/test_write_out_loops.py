"""Loops of few trips are written out, and compute what they did."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qconv.model.load import load
from qconv.model.session import open_session
from qconv.prepare.write_out_loops import write_out_loops
from tests.lower.harness import Array, normal, quantize_graph, write_model

_TRUE, _THREE = np.asarray(True), np.asarray(3, np.int64)
_STEP = "u = Tanh(v) w = Add(u, x)"
_BODY = f"<body = b (int64 t, bool c, float[4] v) => (bool d, float[4] w) {{ d = Identity(c) {_STEP} }}>"
LOOPS = {
    "states": (f"y = Loop{_BODY}(m, , x)", "y"),
    "a condition that is true": (f"y = Loop{_BODY}(m, k, x)", "y"),
    "a condition and a step that are constants of the body": (
        "s, y = Loop<body = b (int64 t, bool c, float[4] v) => (bool d, float[4] w, float[4] o) "
        "{ d = Constant<value = bool {1}>() o = Constant<value = float[4] {1, 2, 3, 4}>() w = Tanh(v) }>(m, k, x)",
        "s, y",
    ),
    "steps": (
        "s, y = Loop<body = b (int64 t, bool c, float[4] v) => (bool d, float[4] w, float[4] o) "
        "{ d = Identity(c) f = Cast<to=1>(t) w = Add(v, f) o = Mul(w, x) }>(m, , x)",
        "s, y",
    ),
    "a scan": (
        "s, y = Scan<num_scan_inputs=1, body = b (float v, float r) => (float w, float o) { w = Add(v, r) o = Tanh(w) }>(z, x)",
        "s, y",
    ),
    "a scan from behind, over columns": (
        "q = Unsqueeze(x, a) s, y = Scan<num_scan_inputs=1, scan_input_axes=[1], scan_input_directions=[1], "
        "scan_output_axes=[1], scan_output_directions=[1], body = b (float[1] v, float[1] r) => (float[1] w, float[1] o) "
        "{ w = Add(v, r) o = Tanh(w) }>(one, q)",
        "s, y",
    ),
}
CONSTANTS: dict[str, Array] = {
    "m": _THREE, "k": _TRUE, "z": np.asarray(0.5, np.float32), "a": np.asarray([0], np.int64), "one": np.ones(1, np.float32),
}  # fmt: skip


@pytest.mark.parametrize("form", LOOPS)
def test_the_steps_compute_the_same(form: str, tmp_path: Path) -> None:
    text, outputs = LOOPS[form]
    shapes = {"s": "float[1]" if "columns" in form else "float" if "scan" in form else "float[4]"}
    shapes["y"] = "float[1,4]" if "columns" in form else "float[3,4]" if "step" in form else "float[4]"
    outs = ", ".join(f"{shapes[name]} {name}" for name in outputs.split(", "))
    path = write_model(tmp_path / "m.onnx", f"g (float[4] x) => ({outs}) {{ {text} }}", CONSTANTS)
    feed = {"x": normal(4)}
    wanted = open_session(path).run(None, feed)
    model = load(path).ir
    assert write_out_loops(model) == 1
    assert not [node for node in model.graph if node.op_type in ("Loop", "Scan")]
    for before, after in zip(wanted, open_session(model).run(None, feed), strict=True):
        assert np.array_equal(before, after)


@pytest.mark.parametrize(
    "text",
    [
        f"y = Loop{_BODY}(n, , x)",
        f"y = Loop{_BODY}(many, , x)",
        "y = Loop<body = b (int64 t, bool c, float[4] v) => (bool d, float[4] w) "
        "{ l = ReduceSum<keepdims=0>(v) d = Less(l, z) w = Add(v, x) }>(m, , x)",
    ],
    ids=["a number that is given", "many trips", "a body that stops"],
)
def test_others_stay(text: str, tmp_path: Path) -> None:
    constants = CONSTANTS | {"many": np.asarray(33, np.int64)}
    path = write_model(tmp_path / "m.onnx", f"g (float[4] x, int64 n) => (float[4] y) {{ {text} }}", constants)
    assert write_out_loops(load(path).ir) == 0


def test_a_loop_becomes_integer(tmp_path: Path) -> None:
    text = f"g (float[2,4] x) => (float[2,4] y) {{ y = Loop{_BODY.replace('[4]', '[2,4]')}(m, , x) }}"
    result = quantize_graph(tmp_path, text, {"m": _THREE}, [{"x": normal(2, 4, seed=seed)} for seed in (1, 2)])
    assert result.quantized.audit.integer_only
    result.assert_exact()
    assert result.sqnr_db() > 30
