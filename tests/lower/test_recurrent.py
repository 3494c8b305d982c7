"""Recurrent layers in int32 steps: written out where they are few, else in a Scan."""

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


EVERYTHING = "LSTM<hidden_size=4, clip=3.0>(x, w, r, b, l, h, c, p)"


@pytest.mark.parametrize(
    ("call", "gates"),
    [
        (EVERYTHING, 4),
        ('LSTM<hidden_size=4, direction="bidirectional">(x, w, r, b, , h, c)', 4),
        ('GRU<hidden_size=4, linear_before_reset=1, direction="bidirectional">(x, w, r, b, , h)', 3),
        ('GRU<hidden_size=4, direction="reverse">(x, w, r, b)', 3),
        ("RNN<hidden_size=4>(x, w, r, b, l, h)", 1),
    ],
)
def test_few_steps_are_written_out(tmp_path: Path, call: str, gates: int) -> None:
    ways, steps = 2 if "bidirectional" in call else 1, 4
    states = f"float[{ways}, {BATCH}, {HIDDEN}]"
    every = f"float[{steps}, {ways}, {BATCH}, {HIDDEN}]"
    text = f"g (float[{steps}, {BATCH}, {SIZE}] x, {states} h, {states} c) => ({every} y, {states} z) {{ y, z = {call} }}"
    weights = {
        "w": normal(ways, gates * HIDDEN, SIZE, seed=1, scale=0.4),
        "r": normal(ways, gates * HIDDEN, HIDDEN, seed=2, scale=0.4),
        "b": normal(ways, 2 * gates * HIDDEN, seed=3, scale=0.2),
        "p": normal(ways, 3 * HIDDEN, seed=4, scale=0.3),
        "l": np.asarray([steps, 2], np.int32),
    }
    feeds = [
        {"x": normal(steps, BATCH, SIZE, seed=s)} | {name: normal(ways, BATCH, HIDDEN, seed=s + 9) for name in "hc"}
        for s in (5, 6)
    ]
    used = {name: array for name, array in weights.items() if f", {name}" in call}
    result = quantize_graph(tmp_path, text, used, feeds)
    assert result.quantized.audit.integer_only and "Scan" not in result.ops
    assert any("leaves it in float" in note.text for note in result.quantized.lowering.notes)
    result.assert_exact()
    assert result.sqnr_db() > 28
