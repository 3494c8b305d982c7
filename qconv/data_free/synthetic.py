"""Samples without data: drawn pictures, noise that fits the batch norms next to the input, or plain noise, and a warning.

Inputs of the form of pictures get pictures (qconv/data_free/leaves.py) in the scale that the weights tell
(qconv/data_free/picture_scale.py). Another single float input with a batch norm behind an affine path is matched to it
(qconv/data_free/batchnorm_match.py); others get standard normal values. Integers are uniform: the whole range of 8-bit types,
else 0 to 127 or, where the model cannot take those, 0 to 1. A free batch is 1; other free sizes take the first of 224, 256, 128,
64, 32, 16, 640, 1 with which the model runs, free channels 3 or 1. Equal seeds give equal samples. What calibrates is moved from
there towards all batch norms (qconv/data_free/distilled.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.data.source import InputInfo, Sample
from qconv.data_free.batchnorm_match import Probe, affine_batchnorms, matched
from qconv.data_free.picture_scale import scaled_pictures
from qconv.data_free.pictures import PictureRecipe, takes_pictures
from qconv.data_free.random_fields import Component, NoiseRecipe, Spectrum
from qconv.errors import DataError
from qconv.model.session import open_session
from qconv.statistics.nonfinite import run

_SIZES = (224, 256, 128, 64, 32, 16, 640, 1)
_CHANNELS = (3, 1)
_LARGEST_INTEGERS = (127, 1)
_MOST_CHANNELS = 16  # more than this on axis 1 are features, which share one mean


@dataclass(frozen=True)
class IntegerRecipe:
    """Uniform integers or booleans in [low, high]."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    low: int
    high: int

    def draw(self, rng: np.random.Generator) -> NDArray[Any]:
        """One array of made-up values."""
        return np.asarray(rng.integers(self.low, self.high, self.shape, endpoint=True)).astype(self.dtype)


Recipe = NoiseRecipe | IntegerRecipe | PictureRecipe
Recipes = Mapping[str, Recipe]


class SyntheticSource:
    """A fixed number of samples drawn from one recipe per input."""

    def __init__(self, inputs: Sequence[InputInfo], recipes: Recipes, count: int, seed: int, kind: str) -> None:
        self._inputs, self._recipes, self._count, self._seed = tuple(inputs), dict(recipes), count, seed
        self._kind = kind

    @property
    def description(self) -> str:
        """The kind, number and seed of the samples."""
        return f"{self._count} {self._kind}, seed {self._seed}"

    @property
    def warning(self) -> str | None:
        """A sentence that these are not real data."""
        origin = f"no data was given, so the ranges come from {self._count} {self._kind}"
        return f"{origin}, widened, whatever the method; give real samples with --data for ranges to rely on"

    @property
    def exact(self) -> dict[str, tuple[float, float]]:
        """Input -> its range, where pictures of a usual convention tell it."""
        found = {name: recipe for name, recipe in self._recipes.items() if isinstance(recipe, PictureRecipe)}
        return {name: recipe.extremes for name, recipe in found.items() if recipe.convention is not None}

    def first(self, count: int) -> SyntheticSource:
        """The first `count` samples, or all."""
        return SyntheticSource(self._inputs, self._recipes, min(count, self._count), self._seed, self._kind)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Sample]:
        for index in range(self._count):
            rng = np.random.default_rng([self._seed, index])
            feeds = {info.name: self._recipes[info.name].draw(rng).astype(info.dtype) for info in self._inputs}
            yield Sample(feeds, None, f"synthetic[{index}]")


def synthetic_source(original: ir.Model, inputs: Sequence[InputInfo], count: int, seed: int) -> SyntheticSource:
    """`count` samples for the inputs of the model as it was before its batch norms were folded away.

    Raises DataError when the model runs with none of the default sizes.
    """
    norms = affine_batchnorms(original.graph) if len(inputs) == 1 else {}
    recipes: dict[str, Recipe] = {}
    for name, recipe in _runnable(original, inputs, seed).items():
        behind, rng = norms.get(name, []), np.random.default_rng(seed)
        if not isinstance(recipe, NoiseRecipe):
            recipes[name] = recipe
        elif takes_pictures(recipe):
            recipes[name] = scaled_pictures(recipe, original, name, behind, rng)
        else:
            recipes[name] = matched(recipe, Probe.of(original, name, behind), rng) if behind else recipe
    return SyntheticSource(inputs, recipes, count, seed, _kind(recipes, bool(norms)))


def _kind(recipes: Recipes, matched_to_norms: bool) -> str:
    """What the samples are, for a person."""
    told = "its first batch norm tells" if matched_to_norms else "its weights let guess"
    for recipe in recipes.values():
        if isinstance(recipe, PictureRecipe):
            scale = recipe.convention or "{:.3g} to {:.3g}".format(*recipe.extremes)
            return f"synthetic pictures in the scale ({scale}) that {told}"
    return "synthetic samples matched to its first batch norm" if matched_to_norms else "samples of random noise"


def _runnable(model: ir.Model, inputs: Sequence[InputInfo], seed: int) -> Recipes:
    """Recipes with the first sizes and integers that the model takes."""
    candidates: list[Recipes] = []
    for choice in product(_SIZES, _CHANNELS, _LARGEST_INTEGERS):
        candidate = {info.name: _recipe(info, *choice) for info in inputs}
        if candidate not in candidates:
            candidates.append(candidate)
    if len(candidates) == 1:
        return candidates[0]
    session, reason = open_session(model, threads=1), ""
    for recipes in candidates:
        try:
            source = SyntheticSource(inputs, recipes, 1, seed, "trial samples")
            run(session, next(iter(source)))
            return recipes
        except DataError as error:
            reason = reason or str(error)
    shapes = ", ".join(map(str, inputs))
    raise DataError(f"no default size fits the model's inputs {shapes}; give samples with --data ({reason})")


def _recipe(info: InputInfo, size: int, channels: int, largest: int) -> NoiseRecipe | IntegerRecipe:
    axis = channel_axis(info)
    sizes = [info.batch, *(_size(info, i, axis, size, channels) for i in range(1, len(info.shape)))]
    shape = tuple(sizes[: len(info.shape)])
    if info.dtype.kind == "b":
        return IntegerRecipe(shape, info.dtype, 0, 1)
    if info.dtype.kind in "iu":
        narrow = info.dtype.itemsize == 1
        limits = np.iinfo(info.dtype)
        return IntegerRecipe(shape, info.dtype, limits.min if narrow else 0, limits.max if narrow else largest)
    several = axis is not None and shape[axis] <= _MOST_CHANNELS
    count = shape[axis] if several and axis is not None else 1
    white = [(Component(Spectrum.WHITE, channel if count > 1 else None), 1.0) for channel in range(count)]
    return NoiseRecipe(shape, axis if several else None, (0.0,) * count, tuple(white))


def _size(info: InputInfo, index: int, axis: int | None, size: int, channels: int) -> int:
    fixed = info.shape[index]
    return fixed if fixed is not None else channels if index == axis else size


def channel_axis(info: InputInfo) -> int | None:
    """Axis 1, or the last one where a picture has its 1 or 3 channels there; None below rank 3."""
    if len(info.shape) < 3:
        return None
    last = len(info.shape) - 1
    return last if info.shape[last] in (1, 3) and info.shape[1] not in (1, 3) else 1
