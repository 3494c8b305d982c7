"""What black and white are for a model that takes pictures, told by its weights.

1. Batch norms behind an affine path remember the mean and variance of their inputs. With pictures t in 0..1 of mean m, and the
   response of the path to x = mu + f (t - m), which is known up to mu and f,
       mu      by least squares (qconv/data_free/batchnorm_match.py)
       f^2   = median over the channels k of  remembered variance_k / variance_k of the response to t
   so that black is mu - f m and white mu + f (1 - m). Where a usual convention is near, its exact numbers are taken.
2. Without batch norms, a model that computes something before its first weights normalises by itself: 0..255.
3. Otherwise the first bias tells, roughly: gradient descent moves a weight by x g and a bias by g, so that after training
       size of (w x' + 0) / size of b  ~  size of x           x' of unit size
   Above 8, the middle between 1 and 70 on a logarithmic scale, inputs had the size of pixels: 0..255 where there is one channel,
   else minus the mean of photographs (Caffe). Below, or without a bias: what `--preset` defaults to, ImageNet's mean and
   deviation for three channels and 0..1 for one. This is a guess.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from qconv.data.image_options import PRESETS, Preset
from qconv.data_free.batchnorm_match import MOVING, Matrix, Probe, RememberedChannels, matched_means
from qconv.data_free.pictures import PictureRecipe
from qconv.data_free.random_fields import NoiseRecipe
from qconv.model.graph import const_array, sole_consumer
from qconv.model.traits import Trait, has_trait
from qconv.ops.forms import is_convolution

_GRAY = 0.5  # the mean of dead leaves
_DRAWS = 8  # pictures whose response is measured
_NEAR = 0.35  # of a convention's span: how far the fitted black or white may be off; spans differ by a factor of 2 or more
_LARGE = 8.0  # of case 3
_SCALES = Trait.SUMS | Trait.MULTIPLIES | Trait.DIVIDES | Trait.NORMALIZES | Trait.CASTS


def scaled_pictures(
    recipe: NoiseRecipe, model: ir.Model, name: str, norms: Sequence[RememberedChannels], rng: np.random.Generator
) -> PictureRecipe:
    """Pictures for input `name`, whose form `recipe` has; `norms` are the batch norms behind an affine path."""
    if norms:
        return _nearest(_fitted(recipe, Probe.of(model, name, norms), rng))
    channels = recipe.channels
    convention = _guess(model, name, channels)
    lo, hi = black_and_white(PRESETS[convention], channels)
    return PictureRecipe(recipe.shape, _axis(recipe), lo, hi, convention)


def black_and_white(preset: Preset, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """What 0 and 255 become under a preset, for each channel; a preset of three serves one channel by its average."""
    mean, std = (
        np.resize(values if len(values) in (1, channels) else np.mean(values), channels) for values in (preset.mean, preset.std)
    )
    lo, hi = (((pixel * preset.scale - mean) / std).tolist() for pixel in (0.0, 255.0))
    return tuple(lo), tuple(hi)


def _axis(recipe: NoiseRecipe) -> int:
    assert recipe.axis is not None
    return recipe.axis


def _fitted(recipe: NoiseRecipe, probe: Probe, rng: np.random.Generator) -> PictureRecipe:
    channels = recipe.channels
    unit = PictureRecipe(recipe.shape, _axis(recipe), (0.0,) * channels, (1.0,) * channels)
    responses = np.concatenate([probe.respond(unit.draw(rng)) for _ in range(_DRAWS)], axis=1)
    ratio = probe.variance / np.maximum(responses.var(axis=1), 1e-30)
    contrast = float(np.sqrt(np.median(ratio)))
    mean: Matrix = matched_means(recipe, probe)
    lo, hi = mean - _GRAY * contrast, mean + (1 - _GRAY) * contrast
    return PictureRecipe(recipe.shape, unit.axis, tuple(lo.tolist()), tuple(hi.tolist()))


def _nearest(fitted: PictureRecipe) -> PictureRecipe:
    """The convention that is near what was fitted, or that itself."""
    best, found = _NEAR, fitted
    for name, preset in PRESETS.items():
        lo, hi = black_and_white(preset, len(fitted.lo))
        span = np.subtract(hi, lo)
        off = np.concatenate([np.subtract(fitted.lo, lo) / span, np.subtract(fitted.hi, hi) / span])
        if np.abs(off).mean() < best:
            best, found = float(np.abs(off).mean()), PictureRecipe(fitted.shape, fitted.axis, lo, hi, name)
    return found


def _guess(model: ir.Model, name: str, channels: int) -> str:
    """The name of a convention, for cases 2 and 3."""
    value = next(value for value in model.graph.inputs if value.name == name)
    while (node := sole_consumer(value)) is not None and has_trait(node, MOVING) and node.outputs:
        value = node.outputs[0]
    small, large = ("unit", "raw") if channels == 1 else ("imagenet", "caffe")
    if node is None:
        return small
    if has_trait(node, _SCALES):
        return "raw"
    ratio = _bias_ratio(node)
    return small if ratio is None or ratio < _LARGE else large


def _bias_ratio(node: ir.Node) -> float | None:
    """The size of a Conv's response to unit pictures, whose channels and neighbours are nearly equal, against its bias."""
    weight, bias = const_array(node.inputs[1]) if len(node.inputs) > 1 else None, _bias(node)
    if not is_convolution(node) or weight is None or bias is None or not bias.any():
        return None
    response = np.sqrt(np.square(weight.astype(np.float64)).sum(axis=tuple(range(1, weight.ndim))))
    return float(np.median(response) / max(np.median(np.abs(bias)), 1e-12 * np.abs(bias).max()))


def _bias(node: ir.Node) -> Matrix | None:
    """The bias of a Conv, or of the Add behind it."""
    array = const_array(node.inputs[2]) if len(node.inputs) > 2 else None
    behind = sole_consumer(node.outputs[0])
    if array is None and behind is not None and has_trait(behind, Trait.SUMS):
        array = next((found for value in behind.inputs if (found := const_array(value)) is not None), None)
    return None if array is None else array.astype(np.float64).reshape(-1)
