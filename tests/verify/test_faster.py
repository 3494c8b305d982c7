"""What is proposed where integers are slower than float."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from qconv.verify.measure.faster import faster_way
from tests.lower.harness import normal, write_model

ATTENTION = "t = Transpose<perm=[0,2,1]>(h) s = MatMul(h, t) p = Softmax(s) y = MatMul(p, h)"
SIGNATURE = "g (float[1,8,8] x) => (float[1,8,8] y)"


@pytest.mark.parametrize(
    ("text", "flag"),
    [
        (f"{SIGNATURE} {{ h = MatMul(x, w) {ATTENTION} }}", "--mode dynamic"),
        (f"{SIGNATURE} {{ h = Conv(x, k) {ATTENTION} }}", None),
        (f"{SIGNATURE} {{ y = MatMul(x, w) }}", None),
        ("g (float[4,1,3] x) => (float[4,1,1,8] y) { y = LSTM<hidden_size=8>(x, a, b) }", "--prefer speed"),
    ],
)
def test_flags_by_what_a_network_is_made_of(tmp_path: Path, text: str, flag: str | None) -> None:
    weights = {"w": normal(8, 8), "k": normal(8, 8, 1), "a": normal(1, 32, 3), "b": normal(1, 32, 8)}
    used = {name: array.astype(np.float32) for name, array in weights.items() if f", {name}" in text}
    found = faster_way(ir.load(write_model(tmp_path / "m.onnx", text, used)).graph)
    assert (None if found is None else found.flag) == flag
