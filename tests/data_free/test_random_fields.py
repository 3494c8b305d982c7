from __future__ import annotations

import numpy as np
import pytest

from qconv.data_free.random_fields import Component, NoiseRecipe, Spectrum, components, draw_field


@pytest.mark.parametrize("spectrum", Spectrum)
@pytest.mark.parametrize("shape", [(1, 16, 16), (1, 15, 7), (2, 33), (3,)])
def test_fields_have_mean_0_and_variance_1(spectrum: Spectrum, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    fields = np.stack([draw_field(rng, shape, spectrum) for _ in range(4000)])
    assert fields.shape == (4000, *shape)
    assert abs(fields.mean()) < 0.08  # 5 standard errors of 4000 independent draws
    assert abs(fields.var() - 1) < 0.12  # the same for the variance of normal values


def test_pink_neighbours_resemble_each_other() -> None:
    field = draw_field(np.random.default_rng(0), (1, 64, 64), Spectrum.PINK)[0]
    assert np.corrcoef(field[:, 1:].ravel(), field[:, :-1].ravel())[0, 1] > 0.5


@pytest.mark.parametrize(("shape", "axis"), [((1, 3, 8, 9), 1), ((2, 8, 9, 3), 3), ((1, 5), None), ((), None), ((1, 2, 7), 1)])
def test_recipes_draw_their_shape(shape: tuple[int, ...], axis: int | None) -> None:
    channels = shape[axis] if axis is not None else 1
    mean = tuple(float(10 * c) for c in range(channels))
    recipe = NoiseRecipe(shape, axis, mean, ((Component(Spectrum.WHITE, None), 0.1),))
    array = recipe.draw(np.random.default_rng(0))
    assert array.shape == shape and array.dtype == np.float32
    if axis is not None:
        found = np.moveaxis(array, axis, 0).reshape(channels, -1).mean(axis=1)
        np.testing.assert_allclose(found, mean, atol=0.2)  # the noise averages out


def test_components_of_one_channel_and_of_three() -> None:
    assert len(components(1)) == 3
    assert len(components(3)) == 12
