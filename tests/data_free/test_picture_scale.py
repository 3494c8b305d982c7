from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from onnx import helper

from qconv.data.image_options import PRESETS
from qconv.data_free.batchnorm_match import affine_batchnorms
from qconv.data_free.picture_scale import black_and_white, scaled_pictures
from qconv.data_free.pictures import PictureRecipe, takes_pictures
from qconv.data_free.random_fields import NoiseRecipe
from qconv.model.session import open_session
from tests.networks import network

SHAPE = (1, 3, 32, 32)
FORM = NoiseRecipe(SHAPE, 1, (0.0,) * 3, ())


def trained_on(recipe: PictureRecipe) -> ir.Model:
    """Conv and batch norm that remember pictures of the recipe."""
    rng = np.random.default_rng(1)
    weight = rng.standard_normal((12, 3, 3, 3)).astype(np.float32)
    conv = helper.make_node("Conv", ["x", "w"], ["c"])
    session = open_session(network([conv], {"x": list(SHAPE)}, ["c"], {"w": weight}), threads=1)
    seen = np.concatenate([session.run(None, {"x": recipe.draw(rng)})[0] for _ in range(60)])
    mean, variance = seen.mean(axis=(0, 2, 3)), seen.var(axis=(0, 2, 3))
    constants = {"w": weight, "m": mean, "v": variance, "s": np.ones_like(mean), "b": np.zeros_like(mean)}
    norm = helper.make_node("BatchNormalization", ["c", "s", "b", "m", "v"], ["y"])
    return network([conv, norm], {"x": list(SHAPE)}, ["y"], constants)


def scaled(model: ir.Model) -> PictureRecipe:
    norms = affine_batchnorms(model.graph).get("x", [])
    return scaled_pictures(FORM, model, "x", norms, np.random.default_rng(0))


@pytest.mark.parametrize("name", PRESETS)
def test_batch_norms_tell_the_convention(name: str) -> None:
    lo, hi = black_and_white(PRESETS[name], 3)
    found = scaled(trained_on(PictureRecipe(SHAPE, 1, lo, hi)))
    assert (found.convention, found.lo, found.hi) == (name, lo, hi)


def test_an_unusual_scale_is_fitted() -> None:
    found = scaled(trained_on(PictureRecipe(SHAPE, 1, (-8.0,) * 3, (8.0,) * 3)))
    assert found.convention is None
    assert found.extremes == pytest.approx((-8, 8), abs=2)  # from 8 pictures, and a median over 12 channels


def biased(size: float, channels: int = 3) -> ir.Model:
    """A Conv whose weights are `size` times as large as its biases."""
    constants = {"w": np.full((4, channels, 1, 1), size / np.sqrt(channels), np.float32), "b": np.ones(4, np.float32)}
    return network([helper.make_node("Conv", ["x", "w", "b"], ["y"])], {"x": [1, channels, 32, 32]}, ["y"], constants)


@pytest.mark.parametrize(
    ("size", "channels", "convention"), [(1, 3, "imagenet"), (30, 3, "caffe"), (1, 1, "unit"), (30, 1, "raw")]
)
def test_without_batch_norms_the_first_bias_is_asked(size: float, channels: int, convention: str) -> None:
    form = NoiseRecipe((1, channels, 32, 32), 1, (0.0,) * channels, ())
    found = scaled_pictures(form, biased(size, channels), "x", [], np.random.default_rng(0))
    assert found.convention == convention


def test_a_model_that_normalises_by_itself_takes_pixels() -> None:
    constants = {"k": np.array(255, np.float32), "w": np.ones((4, 3, 1, 1), np.float32)}
    nodes = [helper.make_node("Div", ["x", "k"], ["t"]), helper.make_node("Conv", ["t", "w"], ["y"])]
    assert scaled(network(nodes, {"x": list(SHAPE)}, ["y"], constants)).extremes == (0.0, 255.0)


def test_pictures_lie_between_black_and_white_in_their_layout() -> None:
    recipe = PictureRecipe((2, 20, 24, 3), 3, (-1.0, -2.0, -3.0), (1.0, 2.0, 3.0))
    drawn = recipe.draw(np.random.default_rng(0))
    assert drawn.shape == (2, 20, 24, 3) and drawn.dtype == np.float32 and drawn.flags.c_contiguous
    for channel, bound in enumerate((1.0, 2.0, 3.0)):
        assert 0.7 * bound < drawn[..., channel].max() <= bound
        assert -0.7 * bound > drawn[..., channel].min() >= -bound
    assert recipe.extremes == (-3.0, 3.0)


@pytest.mark.parametrize(
    ("shape", "axis", "taken"),
    [
        ((1, 3, 16, 16), 1, True),
        ((1, 16, 16, 1), 3, True),
        ((1, 3, 49, 10), 1, False),
        ((1, 8, 32, 32), 1, False),
        ((1, 3, 32), 1, False),
    ],
)
def test_what_takes_pictures(shape: tuple[int, ...], axis: int, taken: bool) -> None:
    assert takes_pictures(NoiseRecipe(shape, axis, (0.0,) * shape[axis], ())) is taken
