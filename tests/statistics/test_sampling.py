from __future__ import annotations

from math import gcd, prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qconv.statistics.sampling import MOST, Sampling, grid_of_shape, seed_of, step_of_shape, step_of_size

SIZES = st.integers(0, 1 << 24)
SHAPES = st.tuples(st.just(1), st.integers(1, 64), st.integers(1, 60), st.integers(1, 60))


@given(shape=st.lists(st.integers(1, 64), min_size=1, max_size=4))
def test_the_step_of_a_fixed_shape_falls_into_no_row(shape: list[int]) -> None:
    step = step_of_shape(shape)
    assert prod(shape) <= MOST * step
    assert step == 1 or all(gcd(step, size) == 1 for size in shape)


@given(size=SIZES)
def test_the_step_of_a_free_shape_keeps_about_as_many(size: int) -> None:
    step = step_of_size(size)
    assert step % 2 == 1
    assert size / step < 2 * MOST
    assert step == 1 or size / step > MOST / 2


@given(shape=SHAPES, seed=st.integers(0, (1 << 31) - 1))
def test_lengths_are_those_of_slices(shape: tuple[int, ...], seed: int) -> None:
    sampling = Sampling.of([shape, (None, *shape[1:])], exact=False)
    array = np.zeros(shape, np.float32)
    for measured in (1, 7):
        found = sampling.lengths(seed, np.array([measured]))
        assert found.tolist() == [sampling.pick([array, array], seed)[0].size, measured]


@pytest.mark.parametrize(("shape", "grid"), [((1, 3, 30, 40), 1), ((1, 16, 56, 56), 3), ((1, 64, 14, 14), 3), ((5, 1000), 1)])
@pytest.mark.parametrize("free", [(), (0,), (0, 1)])
def test_over_all_phases_each_element_on_the_grid_is_taken_once(shape: tuple[int, ...], grid: int, free: tuple[int, ...]) -> None:
    """So the estimate of a share of what is on the grid is unbiased; what is off the grid is never looked at."""
    array = np.arange(prod(shape), dtype=np.float32).reshape(shape)
    sampling = Sampling.of([tuple(None if axis in free else size for axis, size in enumerate(shape))], exact=False)
    assert sampling.grids == ((grid if 1 not in free else 1),)
    on_grid = array[:, :, :: sampling.grids[0], :: sampling.grids[0]] if grid > 1 else array
    step = step_of_size(on_grid.size) if 1 in free else step_of_shape((1, *on_grid.shape[1:]) if free else on_grid.shape)
    taken = np.concatenate([sampling.pick([array], seed)[0] for seed in range(step)])
    assert sorted(taken.tolist()) == sorted(on_grid.ravel().tolist())


@given(shape=st.tuples(st.just(1), st.integers(1, 64), st.integers(1, 120), st.integers(1, 120)))
def test_a_grid_leaves_enough(shape: tuple[int, ...]) -> None:
    grid = grid_of_shape(shape)
    assert grid == 1 or np.empty(shape)[:, :, ::grid, ::grid].size >= MOST


def test_all_elements_on_request() -> None:
    array = np.arange(5000, dtype=np.float32)
    (taken,) = Sampling.of([None], exact=True).pick([array], 12345)
    assert taken.tolist() == array.tolist()


def test_the_seed_depends_on_the_values_alone() -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((1, 3, 64, 64)).astype(np.float32) for _ in range(2))
    assert seed_of({"x": a, "y": b}) == seed_of({"y": b.copy(), "x": np.asfortranarray(a)})
    assert seed_of({"x": a}) != seed_of({"x": b})


@pytest.mark.parametrize("array", [np.zeros((0, 3), np.float32), np.array(7), np.array([True, False])])
def test_any_input_has_a_seed(array: object) -> None:
    assert isinstance(array, np.ndarray)
    assert seed_of({"x": array}) >= 0
