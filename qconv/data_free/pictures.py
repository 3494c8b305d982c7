"""Synthetic pictures for an image input, between the values that black and white have for the model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qconv.data_free.leaves import dead_leaves
from qconv.data_free.random_fields import NoiseRecipe
from qconv.quant.types import FloatArray

_SMALLEST_SIDE = 16  # below this, in either direction, an array with 1 or 3 channels is no picture to count on


@dataclass(frozen=True)
class PictureRecipe:
    """Pictures of `shape` with channels on `axis`; black is lo and white hi, one number per channel.

    `convention` names the usual normalisation that these are, where they are one.
    """

    shape: tuple[int, ...]
    axis: int
    lo: tuple[float, ...]
    hi: tuple[float, ...]
    convention: str | None = None

    def draw(self, rng: np.random.Generator) -> FloatArray:
        """One array, float32, of as many pictures as its batch has."""
        rows, columns = (size for axis, size in enumerate(self.shape) if axis not in (0, self.axis))
        lo, hi = (np.asarray(values, np.float32).reshape(-1, 1, 1) for values in (self.lo, self.hi))
        batch = [lo + (hi - lo) * dead_leaves(rng, len(self.lo), rows, columns) for _ in range(self.shape[0])]
        return np.ascontiguousarray(np.moveaxis(np.stack(batch), 1, self.axis), np.float32)

    @property
    def extremes(self) -> tuple[float, float]:
        """Black and white over all channels."""
        return min(self.lo), max(self.hi)


def takes_pictures(recipe: NoiseRecipe) -> bool:
    """Whether an input has the form of a picture: rank 4, one or three channels, sides of 16 or more."""
    if len(recipe.shape) != 4 or recipe.axis is None or recipe.channels not in (1, 3):
        return False
    return min(size for axis, size in enumerate(recipe.shape) if axis not in (0, recipe.axis)) >= _SMALLEST_SIDE
