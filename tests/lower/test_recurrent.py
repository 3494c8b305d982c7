"""Recurrent layers of many steps, as a Scan of int32 steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.lower.harness import Result, normal, quantize_graph

STEPS, BATCH, SIZE, HIDDEN = 70, 2, 5, 4


def layer(folder: Path, op: str, gates: int, scale: float) -> Result:
    """A layer of one direction; its inputs, and the weights of one channel of each gate, are `scale` times as large as usual."""
    text = (
        f"g (float[{STEPS},{BATCH},{SIZE}] x) => (float[{STEPS},1,{BATCH},{HIDDEN}] y) "
        f"{{ y = {op}<hidden_size={HIDDEN}>(x, w, r, b) }}"
    )
    weights = {
        "w": normal(1, gates * HIDDEN, SIZE, seed=1, scale=0.4),
        "r": normal(1, gates * HIDDEN, HIDDEN, seed=2, scale=0.4),
        "b": normal(1, 2 * gates * HIDDEN, seed=3, scale=0.2),
    }
    weights["w"][:, ::HIDDEN] *= scale
    feeds = [{"x": normal(STEPS, BATCH, SIZE, seed=seed) * np.float32(scale)} for seed in (5, 6)]
    return quantize_graph(folder, text, weights, feeds)


@pytest.mark.parametrize(("op", "gates"), [("RNN", 1), ("GRU", 3), ("LSTM", 4)])
def test_many_steps(tmp_path: Path, op: str, gates: int) -> None:
    result = layer(tmp_path, op, gates, 1.0)
    assert result.quantized.audit.integer_only
    result.assert_exact()
    assert result.sqnr_db() > 28


@pytest.mark.parametrize(("op", "gates"), [("RNN", 1), ("GRU", 3), ("LSTM", 4)])
def test_what_saturates_a_gate_by_far_stays_in_int32(tmp_path: Path, op: str, gates: int) -> None:
    """One step of a sum of products is more than all that a gate tells apart; beside it are channels of a thousandth of that."""
    result = layer(tmp_path, op, gates, 1e4)
    assert result.quantized.audit.integer_only
    result.assert_exact()
    # Few sums of 8-bit products lie where a gate is not settled, and those have coarse steps; a cell adds up what that changes.
    assert result.sqnr_db() > (12 if op == "LSTM" else 20)
