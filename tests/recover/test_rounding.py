"""Rounding to second order: never worse than a move could make it, deterministic, and without pairs that saturate."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from qconv.quant.saturation import unsafe_pairs
from qconv.recover.rounding import Levels, descended, rounded

Array = NDArray[np.float64]
FREE, TIED, FEW = Levels(-127, 127, pairs=False), Levels(-127, 127, pairs=True), Levels(-7, 7, pairs=False)


def _problem(groups: int, columns: int, outputs: int, seed: int = 0) -> tuple[Array, Array]:
    """A Hessian of inputs that go together, and weights."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(groups, 4 * columns, columns)) @ (np.eye(columns) + 0.7 * rng.normal(size=(groups, columns, columns)))
    return rows.transpose(0, 2, 1) @ rows / (4 * columns) + 0.01 * np.eye(columns), rng.laplace(size=(groups, columns, outputs))


def _loss(hessian: Array, v: Array, scale: Array, codes: Array) -> Array:
    error = codes * scale[:, None, :] - v
    return np.asarray((error * (hessian @ error)).sum(axis=1))


def _solve(hessian: Array, v: Array, levels: Levels, widening: float = 1.0) -> tuple[Array, Array]:
    scale = np.abs(v).max(axis=1) / levels.qmax * widening
    return descended(hessian, v, scale, rounded(hessian, v, scale, levels), levels), scale


@pytest.mark.parametrize("levels", [FREE, FEW], ids=["8 bits", "4 bits"])
@pytest.mark.parametrize("shape", [(1, 70, 8), (6, 9, 1), (1, 1, 3)])
def test_it_loses_less_than_the_nearest_codes(shape: tuple[int, int, int], levels: Levels) -> None:
    hessian, v = _problem(*shape)
    codes, scale = _solve(hessian, v, levels)
    nearest = np.clip(np.rint(v / scale[:, None, :]), levels.qmin, levels.qmax)
    assert _loss(hessian, v, scale, codes).sum() <= _loss(hessian, v, scale, nearest).sum()
    assert np.array_equal(codes, np.rint(codes))
    assert np.abs(codes).max() <= levels.qmax


@pytest.mark.parametrize("levels", [FREE, TIED, FEW], ids=["8 bits", "tied", "4 bits"])
def test_no_single_step_gains(levels: Levels) -> None:
    hessian, v = _problem(2, 7, 3)
    codes, scale = _solve(hessian, v, levels)
    best = _loss(hessian, v, scale, codes)
    for column, way in itertools.product(range(7), (-1, 1)):
        moved = codes.copy()
        moved[:, column] += way
        allowed = np.abs(moved[:, column]) <= levels.qmax
        if levels.pairs:
            allowed &= ~unsafe_pairs(moved.transpose(0, 2, 1)).any(axis=2)
        assert (_loss(hessian, v, scale, moved) >= best * (1 - 1e-9))[allowed].all()  # float64 sums in another order


def test_few_levels_come_near_the_best_of_all() -> None:
    hessian, v = _problem(1, 4, 6)
    levels = Levels(-1, 1, pairs=False)
    codes, scale = _solve(hessian, v, levels, widening=0.6)
    every = np.asarray(list(itertools.product((-1.0, 0.0, 1.0), repeat=4)))
    losses = [_loss(hessian, v, scale, np.broadcast_to(one[None, :, None], v.shape)) for one in every]
    nearest = np.clip(np.rint(v / scale[:, None, :]), -1, 1)
    best, found = np.min(losses, axis=0).sum(), _loss(hessian, v, scale, codes).sum()
    # Descent may end beside the best, but most of what can be gained over nearest codes is.
    assert found - best <= 0.5 * (_loss(hessian, v, scale, nearest).sum() - best)


@pytest.mark.parametrize("widening", [1.0, 1.3])
@pytest.mark.parametrize("columns", [6, 7])
def test_tied_neighbours_never_saturate(columns: int, widening: float) -> None:
    rng = np.random.default_rng(1)
    hessian, _ = _problem(3, columns, 5)
    v = rng.uniform(0.7, 1.0, (3, columns, 5)) * rng.choice([-1.0, 1.0], (3, 1, 5))
    codes, _ = _solve(hessian, v, TIED, widening)
    assert not unsafe_pairs(codes.transpose(0, 2, 1)).any()


def test_it_is_deterministic() -> None:
    hessian, v = _problem(1, 30, 5)
    first, second = _solve(hessian, v, TIED)[0], _solve(hessian, v, TIED)[0]
    assert first.tobytes() == second.tobytes()
