"""Where an integer model gives the same codes, and what is said on a processor where it does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from qconv.config import QuantConfig
from qconv.model.machine import adds_in_integers, adds_pairs_in_int16
from qconv.verify import processors
from qconv.verify.processors import differing_additions, exact_on, machine_warnings
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


@pytest.mark.parametrize(
    ("target", "expected"), [("x86", "x86, x86-vnni"), ("x86-vnni", "x86-vnni"), ("arm", "x86, x86-vnni, arm")]
)
def test_a_model_says_where_it_is_exact(target: str, expected: str, tmp_path: Path) -> None:
    model = _quantized(target, tmp_path)
    assert ", ".join(exact_on(model.graph)) == model.metadata_props["qconv.exact_on"] == expected
    assert model.metadata_props["qconv.target"] == target


def test_a_processor_that_it_is_not_exact_on_is_named_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    graph = _quantized("x86-vnni", tmp_path).graph
    monkeypatch.setattr(processors, "adds_pairs_in_int16", lambda: True)
    monkeypatch.setattr(processors, "adds_in_integers", lambda: True)
    pairs, sums = machine_warnings(graph)
    assert "AVX2 and no VNNI" in pairs and "conv0, conv1" in pairs and "--target x86," in pairs
    assert "short multipliers" in sums and "add2" in sums and "--target arm," in sums
    monkeypatch.setattr(processors, "adds_pairs_in_int16", lambda: False)
    monkeypatch.setattr(processors, "adds_in_integers", lambda: False)
    assert list(machine_warnings(graph)) == []


def test_only_sums_with_differing_codes_are_named(tmp_path: Path) -> None:
    assert [node.name for node in differing_additions(_quantized("x86", tmp_path).graph)] == ["add2"]


def test_this_processor_is_found_out_by_computing() -> None:
    assert isinstance(adds_pairs_in_int16(), bool)
    assert isinstance(adds_in_integers(), bool)
