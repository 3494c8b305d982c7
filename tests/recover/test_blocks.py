"""Codes in blocks: scales of either sign, and a loss that error feedback makes smaller."""

from __future__ import annotations

import numpy as np
import pytest

from qconv.recover.blocks import nearest_blocks, rounded_blocks


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize(("rows", "block"), [(64, 16), (50, 32), (7, 16)])
def test_codes_are_within_their_bits_and_close(bits: int, rows: int, block: int) -> None:
    weight = np.random.default_rng(0).normal(size=(rows, 5)).astype(np.float32)
    blocks = nearest_blocks(weight, bits, block)
    assert blocks.scales.shape == (-(-rows // block), 5)
    assert blocks.codes.min() >= -(2 ** (bits - 1)) and blocks.codes.max() < 2 ** (bits - 1)
    steps = np.repeat(np.abs(blocks.scales), block, axis=0)[:rows]
    inside = np.abs(blocks.codes) < 2 ** (bits - 1) - 1
    assert (np.abs(blocks.reals - weight) <= 0.5001 * steps)[inside].all()  # half a step, in float32


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_feedback_lowers_the_loss_of_every_column_or_leaves_it(bits: int) -> None:
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(500, 48)) @ rng.normal(size=(48, 48))
    hessian, weight = rows.T @ rows / 500, rng.normal(size=(48, 6)).astype(np.float32)
    losses = []
    importance = np.einsum("kk->k", hessian + 0.03 * np.einsum("kk->k", hessian).mean() * np.eye(48))
    for blocks in (nearest_blocks(weight, bits, 16, importance), rounded_blocks(weight, hessian, bits, 16)):
        error = blocks.reals.astype(np.float64) - weight
        losses.append((error * (hessian @ error)).sum())
    assert losses[1] < 0.7 * losses[0]  # measured: a half and less


def test_dead_columns_and_dead_inputs_are_borne() -> None:
    weight = np.zeros((20, 3), np.float32)
    weight[:, 1] = 1e-30
    blocks = rounded_blocks(weight, np.zeros((20, 20)), 4, 16)
    assert np.isfinite(blocks.scales).all() and (blocks.scales != 0).all()
    assert (blocks.codes[:, 0] == 0).all()
