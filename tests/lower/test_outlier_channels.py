"""Norms of rows with a few channels that dwarf the others: what is small is not lost on the way to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.lower.harness import Array, Result, normal, quantize_graph

SIZE = 96
OUTLIERS = np.ones(SIZE, np.float32)
OUTLIERS[[3, 40, 77]] = 20, 40, 30


def weights() -> dict[str, Array]:
    """Gains of 1 and products that keep variances, of which one has channels that dwarf the others."""
    plain, wide = (normal(SIZE, SIZE, seed=seed, scale=SIZE**-0.5) for seed in (1, 2))
    return {"m": plain, "n": wide * OUTLIERS, "g": np.ones(SIZE, np.float32), "b": normal(SIZE, seed=3, scale=0.1)}


def norm(folder: Path, body: str, scale: Array | float) -> Result:
    text = f"g (float[1,32,{SIZE}] x) => (float[1,32,{SIZE}] y) {{ {body} }}"
    used = {name: array for name, array in weights().items() if f", {name}" in body}
    result = quantize_graph(folder, text, used, [{"x": np.float32(scale) * normal(1, 32, SIZE, seed=i)} for i in range(4)])
    assert result.quantized.audit.integer_only
    result.assert_exact()
    return result


def test_at_an_input(tmp_path: Path) -> None:
    assert norm(tmp_path, "y = LayerNormalization(x, g, b)", OUTLIERS).sqnr_db() > 25


def test_behind_a_sum_with_an_input(tmp_path: Path) -> None:
    assert norm(tmp_path, "a = MatMul(x, m) s = Add(x, a) y = LayerNormalization(s, g, b)", OUTLIERS).sqnr_db() > 25


@pytest.mark.parametrize(
    "body",
    [
        "a = MatMul(x, n) y = LayerNormalization(a, g, b)",
        "a = MatMul(x, n) l = LayerNormalization(a, g, b) c = MatMul(l, m) s = Add(a, c) y = LayerNormalization(s, g, b)",
    ],
)
def test_behind_a_product(tmp_path: Path, body: str) -> None:
    assert norm(tmp_path, body, 1.0).sqnr_db() > 25


def test_a_token_that_is_far_smaller_than_the_others(tmp_path: Path) -> None:
    """As a class token may be, which is joined with the tokens of a picture, and is all that is read in the end."""
    text = (
        f"g (float[1,32,{SIZE}] x) => (float[1,{SIZE}] y) {{ t = MatMul(x, m) j = Concat <axis = 1> (c, t) "
        "r = LayerNormalization(j, g, b) a = MatMul(r, q) s = Add(j, a) k = Gather <axis = 1> (s, i) "
        "y = LayerNormalization(k, g, b) }"
    )
    small = {"c": normal(1, 1, SIZE, seed=9, scale=0.02), "q": 0.02 * weights()["m"]}
    used = weights() | small | {"i": np.asarray(0, np.int64)}
    result = quantize_graph(tmp_path, text, used, [{"x": normal(1, 32, SIZE, seed=i)} for i in range(4)])
    assert result.quantized.audit.integer_only
    result.assert_exact()
    assert result.sqnr_db() > 25
    assert not any("few codes" in note.text for note in result.quantized.plan.notes)


def test_tokens_beside_one_that_is_far_larger(tmp_path: Path) -> None:
    """The mean of a row is not taken in the steps that the largest row leaves to it."""
    body = "r = LayerNormalization(x, g, b) y = Gather <axis = 1> (r, rest)"
    text = f"g (float[1,32,{SIZE}] x) => (float[1,31,{SIZE}] y) {{ {body} }}"
    used = {name: weights()[name] for name in "gb"} | {"rest": np.arange(1, 32)}
    feeds = [{"x": normal(1, 32, SIZE, seed=i)} for i in range(4)]
    for feed in feeds:
        feed["x"][0, 0, 5] = 250
    result = quantize_graph(tmp_path, text, used, feeds)
    result.assert_exact()
    assert result.sqnr_db() > 29


def test_a_channel_that_is_far_larger_is_added_in_the_steps_of_the_stream(tmp_path: Path) -> None:
    text = f"""g (float[1,32,{SIZE}] x) => (float[1,32,{SIZE}] y) {{
        l = LayerNormalization(x, g, b) c = MatMul(l, far) s = Add(l, c) y = LayerNormalization(s, g, b) }}"""
    far = weights()["m"].copy()
    far[:, 3] *= 60
    used = {name: weights()[name] for name in "gb"} | {"far": far}
    result = quantize_graph(tmp_path, text, used, [{"x": normal(1, 32, SIZE, seed=i)} for i in range(4)])
    result.assert_exact()
    assert result.ops.count("MatMulInteger") == 1
    assert [op for op in result.ops if op in ("Max", "Min")] == ["Max", "Min"]  # which cut off channel by channel
    assert result.sqnr_db() > 25
