"""Where an integer model gives the same codes, and what is said on a processor where it does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from qconv.config import QuantConfig
from qconv.integer.program import Program
from qconv.model.machine import adds_in_integers, adds_pairs_in_int16
from qconv.verify.exact import processors
from qconv.verify.exact.additions import differing_additions
from qconv.verify.exact.processors import exact_on, machine_warnings
from tests.lower.harness import Array, quantize_graph

_TEXT = """g (float[1,4,6,6] x, float[1,4,6,6] z) => (float[1,4,6,6] y) {
    a = Conv(x, w)
    b = Conv(z, v)
    y = Add(a, b)
}"""


def _quantized(target: str, folder: Path) -> ir.Model:
    """Two layers of large weights of one sign, and the sum of two equal ranges, which has ties."""
    weight = np.eye(4, dtype=np.float32)[:, :, None, None] + np.full((4, 4, 1, 1), 9, np.float32)
    line = np.linspace(-1, 1, 144, dtype=np.float32).reshape(1, 4, 6, 6)
    feeds: list[dict[str, Array]] = [{"x": line, "z": line}]
    return quantize_graph(folder, _TEXT, {"w": weight, "v": weight}, feeds, config=QuantConfig(target=target)).quantized.model


# Halves everywhere: one kernel rounds them to even, the other away from zero.
_SUMS = """<ir_version: 10, opset_import: ["" : 21, "com.microsoft" : 1]>
g (uint8[4] a, uint8[4] b) => (uint8[4] y) <float half = {0.5}, float one = {1.0}, uint8 zero = {0}> {
    [exact] e = com.microsoft.QLinearAdd(a, one, zero, b, one, zero, one, zero)
    [halves] y = com.microsoft.QLinearAdd(e, half, zero, b, half, zero, one, zero)
}"""


@pytest.mark.parametrize(("target", "expected"), [("x86", "x86, x86-vnni, arm"), ("x86-vnni", "x86-vnni, arm")])
def test_a_model_says_where_it_is_exact(target: str, expected: str, tmp_path: Path) -> None:
    model = _quantized(target, tmp_path)
    assert ", ".join(exact_on(Program.read(model))) == model.metadata_props["qconv.exact_on"] == expected
    assert model.metadata_props["qconv.target"] == target


def test_only_sums_with_differing_codes_are_named() -> None:
    program = Program.read(ir.from_onnx_text(_SUMS))
    assert [step.name for step in differing_additions(program)] == ["halves"]
    assert exact_on(program) == ("x86", "x86-vnni")


def test_a_processor_that_saturates_is_named_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = Program.read(_quantized("x86-vnni", tmp_path))
    monkeypatch.setattr(processors, "adds_pairs_in_int16", lambda: False)
    assert list(machine_warnings(program)) == []
    monkeypatch.setattr(processors, "adds_pairs_in_int16", lambda: True)
    (sentence,) = machine_warnings(program)
    assert "AVX2 and no VNNI" in sentence and "conv0, conv1" in sentence and "--target x86," in sentence


def test_a_processor_that_adds_otherwise_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    program = Program.read(ir.from_onnx_text(_SUMS))
    monkeypatch.setattr(processors, "adds_in_integers", lambda: False)
    assert list(machine_warnings(program)) == []
    monkeypatch.setattr(processors, "adds_in_integers", lambda: True)
    (sentence,) = machine_warnings(program)
    assert "short multipliers" in sentence and "halves" in sentence and "exact," not in sentence and "--target arm," in sentence


def test_this_processor_is_found_out_by_computing() -> None:
    assert isinstance(adds_pairs_in_int16(), bool)
    assert isinstance(adds_in_integers(), bool)
