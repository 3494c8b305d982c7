"""Pairs that exporters write oddly: casts between them, scales of zero or below it, scales that a run finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qconv import pipeline
from qconv.errors import ModelError
from tests.lower.harness import Array, Given, normal, write_model

CODES = np.random.default_rng(0).integers(-7, 8, (4, 3, 3, 3)).astype(np.int8)
CONSTANTS: dict[str, Array] = {
    "sx": np.asarray(0.02, np.float32), "z": np.asarray(128, np.uint8), "sw": np.asarray(0.1, np.float32), "w": CODES,
    "zw": np.asarray(0, np.int8), "sy": np.asarray(0.05, np.float32),
}  # fmt: skip
FIRST = "q = QuantizeLinear(x, sx, z) xd = DequantizeLinear(q, sx, z) "
REST = "wd = DequantizeLinear(w, sw, zw) c = Conv(xd, wd) cq = QuantizeLinear(c, sy, z) y = DequantizeLinear(cq, sy, z)"
FEEDS = [{"x": normal(1, 3, 6, 6, seed=seed)} for seed in range(12)]


def write(path: Path, first: str = FIRST, **changes: Any) -> Path:
    text = f"g (float[n,3,6,6] x) => (float[n,4,4,4] y) {{ {first}{REST} }}"
    return write_model(path, text, CONSTANTS | changes)


def outputs(path: Path) -> tuple[pipeline.Quantized, Array]:
    from qconv.model.session import open_session

    result = pipeline.quantize(path, pipeline.calibrate(path, Given(FEEDS)))
    session = open_session(result.model)
    return result, np.stack([session.run(None, feed)[0] for feed in FEEDS])


def test_casts_that_hold_all_codes_change_nothing(tmp_path: Path) -> None:
    first = "q = QuantizeLinear(x, sx, z) i = Cast<to=6>(q) b = Cast<to=2>(i) xd = DequantizeLinear(b, sx, z) "
    (cast, found), (plain, right) = (outputs(write(tmp_path / f"{n}.onnx", body)) for n, body in enumerate((first, FIRST)))
    assert cast.audit.integer_only
    assert cast.imported[0] == plain.imported[0]
    assert np.array_equal(found, right)


def test_casts_that_lose_codes_are_refused(tmp_path: Path) -> None:
    first = "q = QuantizeLinear(x, sx, z) i = Cast<to=3>(q) b = Cast<to=2>(i) xd = DequantizeLinear(b, sx, z) "
    with pytest.raises(ModelError, match="computes with codes that a DequantizeLinear reads"):
        pipeline.calibrate(write(tmp_path / "m.onnx", first), Given(FEEDS))


@pytest.mark.parametrize("scale", [0.0, -0.02])
def test_a_scale_that_is_not_above_zero_is_refused(tmp_path: Path, scale: float) -> None:
    with pytest.raises(ModelError, match="and a step of codes is above 0; mend it, or leave the pair out"):
        pipeline.calibrate(write(tmp_path / "m.onnx", sx=np.asarray(scale, np.float32)), Given(FEEDS))


def test_a_negative_scale_of_a_weight_turns_its_codes(tmp_path: Path) -> None:
    (_, found), (_, right) = (
        outputs(write(tmp_path / f"{n}.onnx", sw=np.asarray(scale, np.float32), w=codes.astype(np.int8)))
        for n, (scale, codes) in enumerate(((-0.1, -CODES), (0.1, CODES)))
    )
    assert np.array_equal(found, right)


def test_a_scale_that_each_run_finds_is_calibrated(tmp_path: Path) -> None:
    first = "q, s, zx = DynamicQuantizeLinear(x) xd = DequantizeLinear(q, s, zx) "
    result, found = outputs(write(tmp_path / "m.onnx", first))
    right = outputs(write(tmp_path / "n.onnx"))[1]
    assert result.audit.integer_only
    assert np.square(found - right).mean() < 0.01 * right.var()  # codes of 0.02 cut off what lies beyond 2.54


BRANCH = """
    q = QuantizeLinear(x, sx, z)
    h = If (which) <
        then_branch = t () => (float[n,3,6,6] a) { d = DequantizeLinear(q, sx, z) a = Relu(d) },
        else_branch = e () => (float[n,3,6,6] b) { b = Neg(x) }
    >
    hq = QuantizeLinear(h, sx, z) xd = DequantizeLinear(hq, sx, z)
"""


def test_pairs_in_a_branch_that_runs_are_taken(tmp_path: Path) -> None:
    result, _ = outputs(write(tmp_path / "m.onnx", BRANCH, which=np.asarray(True)))
    assert result.audit.integer_only and result.audit.quantize == 1


def test_pairs_in_a_branch_that_a_run_chooses_are_refused_where_both_cannot_run(tmp_path: Path) -> None:
    """The sizes of what the branch gives are not known."""
    body = BRANCH.replace("a = Relu(d)", "f = Compress<axis=1>(d, keep) a = Relu(f)").replace("[n,3,6,6] a", "[n,o,p,r] a")
    first = f"m = ReduceMax<keepdims=0>(x) which = Greater(m, zero) {body}"
    with pytest.raises(
        ModelError, match=r"is within a branch or a loop, .* fix what decides it with --pin, or give the float model"
    ):
        pipeline.load_prepared(write(tmp_path / "m.onnx", first, zero=np.asarray(0, np.float32), keep=np.ones(3, bool)))
