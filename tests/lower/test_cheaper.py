"""Nodes in place of a table give the codes of the table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qconv.config import QuantConfig
from tests.lower.harness import Result, normal, quantize_graph

TABLE = ["Reshape", "Cast", "GatherElements", "Reshape"]
CHEAPER = {"Abs": ["Max", "Min", "BitwiseXor", "QLinearAdd"], "Neg": ["BitwiseXor"], "Tanh": ["QLinearSigmoid"]}


def quantized(op: str, folder: Path, target: str, *, no_tune: bool, scale: float = 1.0) -> Result:
    """One op on normal numbers."""
    folder.mkdir()
    text = f"g (float[1,4,16,16] x) => (float[1,4,16,16] y) {{ y = {op}(x) }}"
    feeds = [{"x": normal(1, 4, 16, 16, seed=i, scale=scale)} for i in range(2)]
    result = quantize_graph(folder, text, {}, feeds, config=QuantConfig(target=target, no_tune=no_tune))
    result.assert_exact()
    return result


@pytest.mark.parametrize("target", ["x86", "arm"])
@pytest.mark.parametrize("op", CHEAPER)
def test_they_give_the_codes_of_the_table(op: str, target: str, tmp_path: Path) -> None:
    tuned, plain = (quantized(op, tmp_path / str(off), target, no_tune=off) for off in (False, True))
    assert (tuned.ops[1:-1], plain.ops[1:-1]) == (CHEAPER[op], TABLE)
    assert all(np.array_equal(tuned.values(i)["y_quantized"], plain.values(i)["y_quantized"]) for i in range(2))


def test_a_narrow_tanh_keeps_its_table(tmp_path: Path) -> None:
    assert quantized("Tanh", tmp_path / "narrow", "x86", no_tune=False, scale=0.05).ops[1:-1] == TABLE


def test_channels_are_left_as_they_are_without_tuning(tmp_path: Path) -> None:
    text = "g (float[1,8,8,8] x) => (float[1,8,6,6] y) { a = Conv(x, u) b = Conv<group=12>(a, v) y = Conv(b, w) }"
    feeds = [{"x": normal(1, 8, 8, 8, seed=i)} for i in range(2)]
    weights = {"u": normal(12, 8, 1, 1), "v": normal(12, 1, 3, 3), "w": normal(8, 12, 1, 1)}
    (tmp_path / "plain").mkdir()
    tuned = quantize_graph(tmp_path, text, weights, feeds)
    plain = quantize_graph(tmp_path / "plain", text, weights, feeds, config=QuantConfig(no_tune=True))
    layers = [[node for node in r.quantized.model.graph if node.op_type == "QLinearConv"] for r in (tuned, plain)]
    groups = [[node.attributes.get_int("group", 1) for node in found] for found in layers]
    assert groups == [[1, 16, 1], [1, 12, 1]]
    assert np.array_equal(tuned.values()["y_quantized"], plain.values()["y_quantized"])
