"""Pictures without a camera: opaque shapes of all sizes that cover each other ("dead leaves").

Radii follow p(r) ~ r^-3, which gives the same statistics at every distance, as in photographs: edges, flat regions, a spectrum
of about 1 / f^2 in power, and filter responses with heavy tails. Gaussian noise of the same spectrum has no edges, and leaves
the deep layers of a network that was trained on photographs almost still.
"""

from __future__ import annotations

import numpy as np

from qconv.data_free.random_fields import Field, Spectrum, draw_field
from qconv.quant.types import FloatArray

_SHAPES = (30, 400)  # per picture: from a still life to a crowd
_SMALLEST = 64  # radii go from a 64th of the shorter side, but not below 1.5 pixels, to half of it
_CHROMA, _SHADE, _TEXTURE = 0.15, 0.15, 0.1  # deviation of a channel from gray, slope across a shape, the most grain


def dead_leaves(rng: np.random.Generator, channels: int, height: int, width: int) -> FloatArray:
    """One picture, float32 [channels, height, width] in 0..1; its values have mean 0.5 and deviation 0.3 over many draws."""
    picture = np.empty((channels, height, width), np.float32)
    picture[:] = _colour(rng, channels)
    for radius in _radii(rng, min(height, width)):
        _paint(rng, picture, float(radius))
    grain = draw_field(rng, (1, height, width), Spectrum.PINK)[0] * (_TEXTURE * rng.random())
    clipped: FloatArray = np.clip(picture + grain.astype(np.float32), np.float32(0.0), np.float32(1.0))
    return clipped


def _radii(rng: np.random.Generator, side: int) -> Field:
    """Radii, drawn by inverting the distribution function of r^-3 between the smallest and the largest."""
    smallest, largest = max(1.5, side / _SMALLEST), max(2.0, side / 2)
    share = rng.random(int(rng.integers(*_SHAPES)))
    return (smallest**-2 + (largest**-2 - smallest**-2) * share) ** -0.5


def _paint(rng: np.random.Generator, picture: FloatArray, radius: float) -> None:
    """An ellipse or a rectangle, turned, shaded along its length, over whatever is there."""
    _, height, width = picture.shape
    y, x = rng.random() * height, rng.random() * width
    rows = slice(max(0, int(y - 1.5 * radius)), min(height, int(y + 1.5 * radius) + 1))
    columns = slice(max(0, int(x - 1.5 * radius)), min(width, int(x + 1.5 * radius) + 1))
    dy = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] - np.float32(y)
    dx = np.arange(columns.start, columns.stop, dtype=np.float32) - np.float32(x)
    angle = rng.random() * np.pi
    along, across = np.cos(angle) * dx + np.sin(angle) * dy, np.cos(angle) * dy - np.sin(angle) * dx
    length, breadth = radius, radius * (0.3 + 0.7 * rng.random())
    if rng.random() < 0.5:
        inside = np.square(along / length) + np.square(across / breadth) < 1
    else:
        inside = (np.abs(along) < length) & (np.abs(across) < breadth)
    slope = rng.standard_normal() * _SHADE
    region = picture[:, rows, columns]
    np.copyto(region, _colour(rng, len(picture)) + slope * along / length, where=inside, casting="same_kind")


def _colour(rng: np.random.Generator, channels: int) -> FloatArray:
    """A gray level, and less variation between the channels: [channels, 1, 1]."""
    chroma = _CHROMA * rng.standard_normal(channels) if channels > 1 else np.zeros(1)
    return np.clip(rng.random() + chroma, 0.0, 1.0).astype(np.float32).reshape(channels, 1, 1)
