"""Masks before a Softmax: whatever their size and form, they do not widen the range of the scores."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from tests.lower.harness import Array, normal, quantize_graph

LOWEST = float(np.finfo(np.float32).min)
TOKENS = 12
HEAD = "t = Transpose<perm=[0,2,1]>(x) s = MatMul(x, t)"
TAIL = "p = Softmax(z) y = MatMul(p, x)"


def blocked(seed: int) -> Array:
    """Which of the tokens may not be looked at: some of each row, never the first."""
    mask = np.random.default_rng(seed).random((1, TOKENS, TOKENS)) < 0.4
    mask[..., 0] = False
    return mask


def attention(folder: Path, mask: str, inputs: str, feeds: list[dict[str, Array]], weights: Mapping[str, Array]) -> float:
    given = [{"x": normal(1, TOKENS, 8, seed=i), **feed} for i, feed in enumerate(feeds)]
    text = f"g (float[1,{TOKENS},8] x{inputs}) => (float[1,{TOKENS},8] y) {{ {HEAD} {mask} {TAIL} }}"
    result = quantize_graph(folder, text, weights, given)
    result.assert_exact()
    return result.sqnr_db()


VALUES = pytest.mark.parametrize("value", [-np.inf, -1e4, LOWEST])
INPUT = f", float[1,{TOKENS},{TOKENS}] m"


@VALUES
def test_a_constant_mask(tmp_path: Path, value: float) -> None:
    mask = np.where(blocked(7), np.float32(value), np.float32(0))
    assert attention(tmp_path, "z = Add(s, m)", "", [{}, {}, {}], {"m": mask}) > 28


@VALUES
def test_a_mask_that_is_selected(tmp_path: Path, value: float) -> None:
    feeds = [{"b": blocked(i)} for i in range(3)]
    weights = {"v": np.asarray(value, np.float32)}
    assert attention(tmp_path, "z = Where(b, v, s)", f", bool[1,{TOKENS},{TOKENS}] b", feeds, weights) > 28


@pytest.mark.parametrize("value", [-1e4, LOWEST])
def test_a_mask_that_is_given(tmp_path: Path, value: float) -> None:
    feeds = [{"m": np.where(blocked(i), np.float32(value), np.float32(0))} for i in range(3)]
    assert attention(tmp_path, "z = Add(s, m)", INPUT, feeds, {}) > 28


@pytest.mark.parametrize("value", [-1e4, LOWEST])
def test_a_mask_that_is_computed_from_ones(tmp_path: Path, value: float) -> None:
    feeds = [{"m": np.where(blocked(i), np.float32(0), np.float32(1))} for i in range(3)]
    weights = {"one": np.asarray(1, np.float32), "v": np.asarray(value, np.float32)}
    assert attention(tmp_path, "o = Sub(one, m) n = Mul(o, v) z = Add(s, n)", INPUT, feeds, weights) > 28


def test_masks_on_masks_that_overflow(tmp_path: Path) -> None:
    masks = [np.where(blocked(i), np.float32(LOWEST), np.float32(0)) for i in range(4)]
    feeds = [{"m": mask} for mask in masks[1:]]
    assert attention(tmp_path, "n = Add(m, k) z = Add(s, n)", INPUT, feeds, {"k": masks[0]}) > 28


def test_the_operand_that_dwarfs_a_sum_is_bounded_by_what_the_sum_can_show(tmp_path: Path) -> None:
    feeds = [{"m": np.where(blocked(i), np.float32(-1e4), np.float32(0)), "x": normal(1, TOKENS, 8, seed=i)} for i in range(3)]
    text = f"g (float[1,{TOKENS},8] x{INPUT}) => (float[1,{TOKENS},8] y) {{ {HEAD} z = Add(s, m) {TAIL} }}"
    plan = quantize_graph(tmp_path, text, {}, feeds).quantized.plan
    assert -200 < plan.tensors["m"].ends[0] < plan.tensors["z"].ends[0]


@pytest.mark.parametrize("value", [-1e4, LOWEST])
def test_a_mask_less_one_by_a_large_number(tmp_path: Path, value: float) -> None:
    feeds = [{"m": np.where(blocked(i), np.float32(0), np.float32(1))} for i in range(3)]
    weights = {"one": np.asarray(1, np.float32), "v": np.asarray(-value, np.float32)}
    assert attention(tmp_path, "o = Sub(m, one) n = Mul(o, v) z = Add(s, n)", INPUT, feeds, weights) > 28


@pytest.mark.parametrize(
    ("mask", "value"),
    [("n = Where(b, v, zero)", value) for value in (-np.inf, -1e4, LOWEST)]
    + [("c = Cast<to=1>(b) n = Mul(c, v)", value) for value in (-1e4, LOWEST)]
    + [("a = Not(b) c = Cast<to=1>(a) d = Sub(one, c) n = Mul(d, v)", value) for value in (-1e4, LOWEST)],
)
def test_one_mask_for_several_layers(tmp_path: Path, mask: str, value: float) -> None:
    """Of what all of them can still show, the widest counts."""
    feeds = [{"b": blocked(i)} for i in range(3)]
    weights = {"v": np.asarray(value, np.float32), "zero": np.asarray(0, np.float32), "one": np.asarray(1, np.float32)}
    again = "z0 = Add(s, n) p0 = Softmax(z0) x0 = MatMul(p0, x) k = MatMul(x0, t) z = Add(k, n)"
    assert attention(tmp_path, f"{mask} {again}", f", bool[1,{TOKENS},{TOKENS}] b", feeds, weights) > 25


def test_a_mask_chosen_between_constants(tmp_path: Path) -> None:
    """What today's exporters write for a causal mask: Where between 0 and -inf, and a question whether a row is all masked."""
    mask = (
        "c = Where(b, v, zero) z = Add(s, c) top = ReduceMax<keepdims=1>(c, axes) lost = Equal(top, v) "
        "q = Softmax(z) p = Where(lost, zero, q) y = MatMul(p, x)"
    )
    text = f"g (float[1,{TOKENS},8] x, bool[1,{TOKENS},{TOKENS}] b) => (float[1,{TOKENS},8] y) {{ {HEAD} {mask} }}"
    weights = {"v": np.array(-np.inf, np.float32), "zero": np.array(0, np.float32), "axes": np.array([-1])}
    feeds = [{"x": normal(1, TOKENS, 8, seed=i), "b": blocked(i)} for i in range(3)]
    result = quantize_graph(tmp_path, text, weights, feeds)
    result.assert_exact()
    assert result.sqnr_db() > 28
