"""Attention whose division comes last: over many tokens, over as many as there are, and over more than int32 has room for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qconv.config import QuantConfig
from qconv.lower.attention import divisor
from qconv.plan.wide import LONGEST_SUM
from tests.lower.harness import Array, Result, normal, quantize_graph

SIZE = 16


def attention(folder: Path, feeds: list[dict[str, Array]], queries: int | str, tokens: int | str) -> Result:
    """Of vectors of 16 elements."""
    given = f"float[1,{queries},{SIZE}] q, float[1,{tokens},{SIZE}] k, float[1,{tokens},{SIZE}] v"
    text = f"""g ({given}) => (float[1,{queries},{SIZE}] y)
        {{ t = Transpose<perm=[0,2,1]>(k) s = MatMul(q, t) z = Mul(s, c) p = Softmax(z) y = MatMul(p, v) }}"""
    config = QuantConfig(integer_only=True)  # also where an output lies far from zero
    result = quantize_graph(folder, text, {"c": np.asarray(SIZE**-0.5, np.float32)}, feeds, config=config)
    assert result.quantized.audit.integer_only
    return result


def feed(seed: int, queries: int, tokens: int) -> dict[str, Array]:
    """Scores are nearly equal, so that the mean is of all values."""
    sizes = {"q": (queries, 0.4), "k": (tokens, 0.4), "v": (tokens, 1.0)}
    return {name: normal(1, n, SIZE, seed=3 * seed + i, scale=scale) for i, (name, (n, scale)) in enumerate(sizes.items())}


@pytest.mark.parametrize("tokens", [1024, "T"])
def test_nearly_uniform_attention_of_many_tokens(tmp_path: Path, tokens: int | str) -> None:
    result = attention(tmp_path, [feed(seed, 64, 1024) for seed in range(2)], 64, tokens)
    result.assert_exact()
    assert result.sqnr_db() > 35


def test_sequences_of_any_length(tmp_path: Path) -> None:
    result = attention(tmp_path, [feed(seed, n, n) for seed, n in enumerate((1, 7, 40, 300))], "T", "T")
    result.assert_exact()
    assert result.sqnr_db() > 25  # means of many values are small beside those of few, which set the range


@pytest.mark.parametrize("tokens", [70_000, "T"])
def test_no_sum_leaves_int32(tmp_path: Path, tokens: int | str) -> None:
    """Of 33,026 products of two codes, the greatest sum no longer fits."""
    given = feed(0, 1, 70_000)
    given["q"] *= np.float32(1e-3)
    given["v"] = np.abs(given["v"]) + np.float32(3)
    result = attention(tmp_path, [given], 1, tokens)
    result.assert_exact()
    assert result.sqnr_db() > 35


def test_no_row_has_a_sum_beyond_int32_or_of_nothing() -> None:
    """At the ends of the lengths that share a divisor; sums of products leave four bits to their factor."""
    sizes = np.unique([*np.arange(1, 256) * 2048 - 1, *np.arange(1, 255) * 2048, LONGEST_SUM])
    largest = np.array([255 // divisor(int(size)) for size in sizes])
    assert largest.min() >= 1
    assert (largest * 255 * sizes).max() < 2**27


@pytest.mark.parametrize("lowest", [-1e4, -1e9, float(np.finfo(np.float32).min)])
def test_an_input_of_ones_and_zeros_is_a_mask(lowest: float, tmp_path: Path) -> None:
    text = """g (float[1,4,6,6] x, float[1,6] m) => (float[1,4,6,6] y) {
        u = Unsqueeze(m, a) n = Sub(one, u) w = Mul(n, c) s = Add(x, w) y = Softmax<axis = -1>(s) }"""
    constants: dict[str, Array] = {
        "a": np.asarray([1, 2], np.int64), "one": np.asarray(1, np.float32), "c": np.asarray(lowest, np.float32),
    }  # fmt: skip
    masks = [np.asarray([[1, 1, 1, 1, 1, number]], np.float32) for number in (0, 1)]
    feeds = [{"x": normal(1, 4, 6, 6, seed=seed), "m": mask} for seed, mask in enumerate(masks)]
    result = quantize_graph(tmp_path, text, constants, feeds)
    assert result.quantized.audit.integer_only
    result.assert_exact()
    assert result.sqnr_db() > 30
